// Package hookstest helps with tests of applications that send webhooks with
// [hooks].
//
// [New] gives a test a running Manager, and [Harness.Endpoint] endpoints that
// record what they are sent:
//
//	func TestPayingTellsThePartner(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			harness := hookstest.New(t)
//			partner := harness.Endpoint("order.paid")
//			shop := &Shop{Hooks: harness.Manager}
//			shop.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/pay?order=42", nil))
//			if got := partner.Next(); got.Verified != nil || string(got.Data) != `{"order":"42"}` {
//				t.Errorf("got %s: %v", got.Body, got.Verified)
//			}
//		})
//	}
//
// There is no network and, within a bubble of testing/synctest, no waiting: an
// endpoint that is down for a day takes no time.
//
//	partner.Respond(hookstest.Status(503), hookstest.Reset(), hookstest.Status(200))
//	…
//	deliveries := partner.Settle() // succeeded, after 3 attempts
//
// All of it works outside of a bubble as well, in real time, and over another store
// with [Over]. There are examples in [testing.md].
//
// The parts can be had one by one: a [Receiver] that responds by a script of
// faults, on TCP ([NewReceiver], [NewTLSReceiver]) or in memory
// ([Network.Receiver]), for any sender of webhooks; and a [Network] in memory
// for any client and server.
//
// In a bubble, every goroutine must have ended when the test returns. What this
// package starts ends by itself, by t.Cleanup; give it the t of the bubble.
//
// [testing.md]: https://github.com/seed-2c6e3a5a/hooks/blob/main/docs/testing.md
package hookstest

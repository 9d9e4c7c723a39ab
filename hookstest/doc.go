// Package hookstest helps with tests of applications that send webhooks with
// [hooks].
//
// [New] starts a Manager for a test, and [Harness.Endpoint] makes endpoints that
// record the requests that they receive:
//
//	func TestPayingTellsThePartner(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			harness := hookstest.New(t)
//			partner := harness.Endpoint("order.paid")
//			shop := &Shop{Hooks: harness.Manager}
//			shop.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/pay?order=42", nil))
//			if got := partner.Next(); got.SignatureErr != nil || string(got.Data) != `{"order":"42"}` {
//				t.Errorf("got %s: %v", got.Body, got.SignatureErr)
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
// All of it works outside of a bubble as well, in real time, and with another store by
// [Over]. https://github.com/seed-2c6e3a5a/hooks/blob/main/docs/testing.md has an
// example of each.
//
// The parts can be used alone: a [Receiver] that responds with a script of faults, on
// TCP ([NewReceiver], [NewTLSReceiver]) or in memory ([Network.Receiver]), for any
// sender of webhooks; and a [Network] in memory for any client and server.
//
// In a bubble, every goroutine must have ended when the test returns. Pass the t of
// the bubble to this package: its goroutines then end by t.Cleanup.
package hookstest

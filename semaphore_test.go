package hooks_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
)

// A counter knows how many of something there are at a time, of requests for
// example.
type counter struct {
	mu             sync.Mutex
	now, most, all int
}

// begin counts one until end is called.
func (c *counter) begin() (end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now++
	c.all++
	c.most = max(c.most, c.now)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.now--
	}
}

func (c *counter) response(after hookstest.Response) hookstest.Response {
	return func(w http.ResponseWriter, r *http.Request) {
		defer c.begin()()
		after(w, r)
	}
}

// testing is a call of Test for a tenant.
func (h *harness) testing(ctx context.Context, tenant, url string, n int) ([]hooks.Attempt, error) {
	return h.Test(ctx, hooks.Hook{Tenant: tenant, URL: url, Events: []string{"*"}, Timeout: 30 * time.Second}, events(n)...)
}

func maxInFlight(n int) func(*hooks.Config) { return func(c *hooks.Config) { c.MaxInFlight = n } }

func TestTestsHaveSoManyRequestsAtATime(t *testing.T) {
	for _, tt := range []struct{ maxInFlight, all, ofTenant int }{
		{1, 1, 1}, {4, 1, 1}, {8, 2, 1}, {128, 32, 8}, {256, 64, 16},
	} {
		t.Run(fmt.Sprint(tt.maxInFlight), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, maxInFlight(tt.maxInFlight))
				var all counter
				r := h.receiver(all.response(hookstest.Status(200).After(time.Second)))
				const tenants = 10
				ofTenant := [tenants]counter{}
				var group sync.WaitGroup
				for i := range tenants {
					own := h.receiver(all.response(ofTenant[i].response(hookstest.Status(200).After(time.Second))))
					for range 4 {
						group.Go(func() {
							attempts, err := h.testing(t.Context(), fmt.Sprint(i), own.URL, 2)
							if !errors.Is(err, hooks.ErrBusy) { // One that has waited for 30 s is.
								assert.NoError(t, err)
							}
							assert.Len(t, attempts, 2)
						})
					}
				}
				group.Wait()
				assert.Equal(t, tt.all, all.most)
				for i := range ofTenant {
					assert.LessOrEqual(t, ofTenant[i].most, tt.ofTenant)
				}
				var alone counter
				r.Respond(alone.response(hookstest.Status(200).After(time.Second)))
				began := time.Now()
				_, err := h.testing(t.Context(), "alone", r.URL, 3*tt.ofTenant)
				require.NoError(t, err)
				assert.Equal(t, tt.ofTenant, alone.most)
				assert.Equal(t, 3*time.Second, time.Since(began))
			})
		})
	}
}

// A tenant that has many calls under way gets an error at once, and holds up no other.
func TestATenantCannotTakeAllPlacesForTests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, maxInFlight(4)) // one place
		slow := h.receiver(hookstest.Status(200).After(10 * time.Second))
		var mu sync.Mutex
		busy := 0
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				_, err := h.testing(t.Context(), "hostile", slow.URL, 29)
				if errors.Is(err, hooks.ErrBusy) {
					mu.Lock()
					busy++
					mu.Unlock()
				}
			})
		}
		synctest.Wait()
		assert.Equal(t, 16, busy, "four calls of a tenant are taken")
		began := time.Now()
		quick := h.receiver(hookstest.Status(200))
		_, err := h.testing(t.Context(), "other", quick.URL, 1)
		require.NoError(t, err)
		assert.Equal(t, 20*time.Second, time.Since(began), "there is one turn of the first tenant in between")
		group.Wait()
	})
}

// Tenants that wait get places in turn, however many calls each has.
func TestTenantsTakeTurnsInTests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, maxInFlight(4))
		var order record[string]
		r := h.receiver(func(w http.ResponseWriter, r *http.Request) {
			order.add(r.Header.Get("X-Tenant"))
			hookstest.Status(200).After(time.Second)(w, r)
		})
		var group sync.WaitGroup
		call := func(tenant string, n int) {
			group.Go(func() {
				hook := hooks.Hook{Tenant: tenant, URL: r.URL, Events: []string{"*"}, Headers: map[string]string{"X-Tenant": tenant}}
				_, err := h.Test(t.Context(), hook, events(n)...)
				assert.NoError(t, err)
			})
			synctest.Wait()
		}
		for range 4 {
			call("a", 2)
		}
		call("b", 3)
		call("c", 1)
		group.Wait()
		assert.Equal(t, []string{"a", "a", "b", "c", "a", "b", "a", "b", "a", "a", "a", "a"}, order.all())
	})
}

func TestATestGivesUpWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, maxInFlight(4))
		hang := h.receiver(hookstest.Hang())
		for i := range 2 { // One has the place for 30 s, then the other.
			go func() { _, _ = h.testing(t.Context(), fmt.Sprint(i), hang.URL, 1) }()
			time.Sleep(10 * time.Second)
		}
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		attempts, err := h.testing(ctx, "patient for 5 s", hang.URL, 2)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 5*time.Second, time.Since(began))
		for _, a := range attempts {
			assert.Equal(t, hooks.ClassInterrupted, a.Class)
			assert.Zero(t, a.StartedAt)
		}
		_, err = h.testing(t.Context(), "patient", hang.URL, 1)
		require.ErrorIs(t, err, hooks.ErrBusy)
		assert.Equal(t, 35*time.Second, time.Since(began))
		h.register(hooks.Hook{ID: "h", Tenant: "verifying", URL: hang.URL, Events: []string{"*"}})
		ctx, cancel = context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, err = h.Verify(ctx, "verifying", "h")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		time.Sleep(time.Hour)
		quick := h.receiver(hookstest.Status(200))
		_, err = h.testing(t.Context(), "patient", quick.URL, 1)
		require.NoError(t, err, "nothing is held for those who have gone")
	})
}

func TestTheFirstFailureEndsATest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, maxInFlight(32)) // two places for a tenant
		r := h.receiver(func(w http.ResponseWriter, r *http.Request) {
			switch r.Header.Get("Webhook-Id") {
			case "e0", "e1":
				hookstest.Status(200).After(time.Second)(w, r)
			case "e2":
				hookstest.Status(500).After(time.Second)(w, r)
			default:
				hookstest.Status(200).After(5*time.Second)(w, r)
			}
		})
		began := time.Now()
		attempts, err := h.testing(t.Context(), "", r.URL, 29)
		require.NoError(t, err)
		assert.Equal(t, 2*time.Second, time.Since(began))
		assert.Len(t, r.Requests(), 4)
		require.Len(t, attempts, 29)
		for i, a := range attempts {
			assert.Equal(t, fmt.Sprint("e", i), a.EventID)
			assert.Equal(t, 1, a.Number)
			switch {
			case i < 2:
				assert.Equal(t, hooks.Succeeded, a.State)
			case i == 2:
				assert.Equal(t, hooks.ClassStatus, a.Class)
			default:
				assert.Equal(t, hooks.ClassInterrupted, a.Class)
				assert.NotEmpty(t, a.Error)
				assert.Equal(t, i != 3, a.StartedAt.IsZero(), "only those that were made have a time")
			}
		}
	})
}

// A request for a login is one like others: what an attempt or a verification
// sends, it sends one at a time, also if a protocol would send more.
func TestProtocolsSendOneAtATimeInTests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counter
		flood := func(ctx context.Context, send hooks.Send, url string) {
			var group sync.WaitGroup
			for range 5 {
				group.Go(func() {
					request, _ := post(hooks.Hook{URL: url}, hooks.Message{Event: &hooks.Event{}})
					send(ctx, request)
				})
			}
			group.Wait()
		}
		var url string
		p := &testProtocol{name: "flooding"}
		p.request = func(ctx context.Context, send hooks.Send, h hooks.Hook, msgs []hooks.Message) (hooks.Request, error) {
			flood(ctx, send, url)
			return post(h, msgs[0])
		}
		p.verify = func(ctx context.Context, send hooks.Send, _ hooks.Hook) error {
			flood(ctx, send, url)
			return nil
		}
		h := newHarness(t, speaks(p), maxInFlight(4))
		r, hook := h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "flooding", Timeout: 30 * time.Second})
		url = r.URL
		r.Respond(c.response(hookstest.Status(200).After(time.Second)))
		_, err := h.Test(t.Context(), hook, hooks.Event{Type: "a"})
		require.NoError(t, err)
		_, err = h.Verify(t.Context(), "", hook.ID)
		require.NoError(t, err)
		assert.Equal(t, 1, c.most)
		assert.Equal(t, 11, c.all)
	})
}

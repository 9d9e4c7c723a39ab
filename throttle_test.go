package hooks_test

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

// An endpoint that is overloaded gets nothing of what is waiting for it, and
// all of it as soon as the time has passed.
func TestAThrottledEndpointIsLeftAlone(t *testing.T) {
	const waiting = 50
	ask := func(status int) hookstest.Response { return hookstest.Status(status).Header("Retry-After", "100") }
	tests := map[string]struct {
		maxInFlight int // the hook's
		response    hookstest.Response
		quiet       time.Duration // wanted
	}{
		"429":                         {1, ask(429), 100 * time.Second},
		"502":                         {1, ask(502), 100 * time.Second},
		"504":                         {1, ask(504), 100 * time.Second},
		"429, several at once":        {3, ask(429), 100 * time.Second},
		"429, many at once":           {0, ask(429), 100 * time.Second},
		"429, as a date":              {1, inTwoHours(429), 2 * time.Hour},
		"429, more than a day":        {1, hookstest.Status(429).Header("Retry-After", "1000000"), day},
		"429, no time":                {1, hookstest.Status(429), time.Second},
		"502, no time":                {1, hookstest.Status(502), time.Second},
		"504, no time":                {1, hookstest.Status(504), time.Second},
		"503":                         {1, ask(503), 100 * time.Second},
		"503, many at once":           {0, ask(503), 100 * time.Second},
		"503, as a date":              {1, inTwoHours(503), 2 * time.Hour},
		"500 does not throttle":       {1, ask(500), 0},
		"503 does not throttle":       {1, hookstest.Status(503), 0},
		"503 does not throttle, many": {0, hookstest.Status(503), 0},
		"503, no time, does not":      {1, hookstest.Status(503).Header("Retry-After", "soon"), 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				harness := hookstest.New(t, seldom)
				e := harness.EndpointFor(hooks.Hook{Events: []string{"*"}, MaxInFlight: tt.maxInFlight})
				start := time.Now()
				e.Respond(func(w http.ResponseWriter, r *http.Request) {
					if time.Now().Equal(start) {
						tt.response(w, r)
					}
				})
				triggerIDs(t, harness.Manager, numbered("e", waiting+1)...)
				for _, d := range e.Settle() {
					assert.Equal(t, hooks.Succeeded, d.State)
				}

				requests := e.Requests()
				early := slices.IndexFunc(requests, func(r hookstest.Request) bool { return r.ReceivedAt.After(start) })
				require.Positive(t, early)
				assert.Len(t, requests, waiting+1+early, "each that came early comes again")
				if tt.quiet == 0 {
					assert.Equal(t, waiting+1, early)
					return
				}
				// Those that were under way when the first response came.
				assert.LessOrEqual(t, early, cmp.Or(tt.maxInFlight, 32))
				assert.GreaterOrEqual(t, requests[early].ReceivedAt.Sub(start), tt.quiet)
				assert.LessOrEqual(t, requests[early].ReceivedAt.Sub(start), tt.quiet+time.Second)
			})
		})
	}
}

// The Manager that finds deliveries in the store, and not in its memory, knows
// as well when the endpoint may be asked again.
func TestWhatWaitsInTheStoreGoesWhenTheThrottleEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network hookstest.Network
		m := newManager(t, memory.New(memory.Options{}), &network, seldom)
		r := network.Receiver(t, "shop.example", hookstest.Status(429).Header("Retry-After", "100"), hookstest.Status(200))
		_, err := m.Register(t.Context(), hooks.Hook{
			Events: []string{"*"}, URL: r.URL, MaxInFlight: 1, Schedule: []time.Duration{0},
		})
		require.NoError(t, err)
		begin := time.Now()
		triggerIDs(t, m, numbered("e", 51)...)
		start(t, m)
		for _, request := range r.Wait(51)[1:] {
			assert.Equal(t, 100*time.Second, request.ReceivedAt.Sub(begin))
		}
	})
}

// An endpoint that does not say for how long is throttled longer and longer, up to
// a minute.
func TestThrottlesGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		harness := hookstest.New(t)
		e := harness.EndpointFor(hooks.Hook{Events: []string{"*"}, Schedule: []time.Duration{0}, MaxInFlight: 1})
		e.Respond(hookstest.Status(429))
		triggerIDs(t, harness.Manager, numbered("e", 12)...)
		e.Settle()
		requests := e.Requests()
		require.Len(t, requests, 12)
		pause := func(i int) time.Duration { return requests[i+1].ReceivedAt.Sub(requests[i].ReceivedAt) }
		for i := range 10 {
			assert.LessOrEqual(t, pause(i), pause(i+1))
		}
		assert.Less(t, pause(0), 5*time.Second)
		assert.Equal(t, time.Minute, pause(10))
	})
}

// While a hook is throttled, what is triggered waits too.
func TestTriggersForAThrottledEndpointWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		harness := hookstest.New(t)
		e := harness.Endpoint("*")
		other := harness.Endpoint("*")
		e.Respond(hookstest.Status(429).Header("Retry-After", "100"), hookstest.Status(200))
		start := time.Now()
		for i := range 9 {
			triggerIDs(t, harness.Manager, fmt.Sprint("e", i))
			time.Sleep(10 * time.Second)
		}
		assert.Equal(t, start.Add(100*time.Second).UTC(), stored(t, harness.Manager, e.Hook).Health.ThrottledUntil)
		for _, d := range e.Settle() {
			assert.Equal(t, hooks.Succeeded, d.State)
		}
		requests := e.Requests()
		require.Len(t, requests, 10)
		for _, r := range requests[1:] {
			assert.GreaterOrEqual(t, r.ReceivedAt.Sub(start), 100*time.Second)
		}
		assert.Equal(t, hooks.Health{}, stored(t, harness.Manager, e.Hook).Health)
		for i, r := range other.Requests() {
			assert.Equal(t, time.Duration(i)*10*time.Second, r.ReceivedAt.Sub(start), "another endpoint does not wait")
		}
	})
}

package hooks_test

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

// Retries over days of virtual time. As no attempt takes any unless its response
// does, times are compared exactly.

const day = 24 * time.Hour

// seldom has the Manager poll as rarely as it may: an attempt that is on time
// is so because the Manager knew when it was due. Days also pass faster.
func seldom(c *hooks.Config) { c.PollInterval = time.Minute }

func neverDisable(c *hooks.Config) { c.DisableAfter = -1 }

// triggerIDs triggers an event for each ID, in one batch, once Run is waiting
// for work.
func triggerIDs(t *testing.T, m *hooks.Manager, ids ...string) {
	t.Helper()
	synctest.Wait()
	events := make([]hooks.Event, len(ids))
	for i, id := range ids {
		events[i] = hooks.Event{ID: id, Type: "order.paid"}
	}
	_, err := m.TriggerBatch(t.Context(), events...)
	require.NoError(t, err)
}

// numbered returns n event IDs.
func numbered(prefix string, n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = prefix + strconv.Itoa(i)
	}
	return ids
}

// stored returns the hook as it is now.
func stored(t *testing.T, m *hooks.Manager, h hooks.Hook) hooks.Hook {
	t.Helper()
	h, err := m.Hook(t.Context(), h.Tenant, h.ID)
	require.NoError(t, err)
	return h
}

// checkPause checks that a pause is the scheduled one, lengthened by at most a
// fifth and rounded up to a millisecond.
func checkPause(t *testing.T, attempt int, scheduled, got time.Duration) {
	t.Helper()
	assert.GreaterOrEqual(t, got, scheduled, "before attempt %d", attempt)
	assert.LessOrEqual(t, got, scheduled+scheduled/5+time.Millisecond, "before attempt %d", attempt)
}

// The delays of Standard Webhooks, "Deliverability and reliability".
var standardSchedule = []time.Duration{
	0, 5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour,
	5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

func TestSchedules(t *testing.T) {
	const responseTime = 3 * time.Second
	down := hookstest.Status(500).After(responseTime)
	up := hookstest.Status(200).After(responseTime)
	custom := []time.Duration{10 * time.Second, time.Second, 0, time.Minute}
	tests := map[string]struct {
		schedule  []time.Duration // the hook's
		responses []hookstest.Response
		attempts  []time.Duration // wanted: the pause before each
		state     hooks.State
	}{
		"the default, always down":        {responses: []hookstest.Response{down}, attempts: standardSchedule, state: hooks.Dead},
		"the default, up at the last":     {responses: append(slices.Repeat([]hookstest.Response{down}, 9), up), attempts: standardSchedule, state: hooks.Succeeded},
		"the default, up at the third":    {responses: []hookstest.Response{down, down, up}, attempts: standardSchedule[:3], state: hooks.Succeeded},
		"a hook's own, always down":       {schedule: custom, responses: []hookstest.Response{down}, attempts: custom, state: hooks.Dead},
		"a hook's own, up at the last":    {schedule: custom, responses: []hookstest.Response{down, down, down, up}, attempts: custom, state: hooks.Succeeded},
		"a hook's own, one attempt":       {schedule: custom[:1], responses: []hookstest.Response{down}, attempts: custom[:1], state: hooks.Dead},
		"a hook's own, up at the first":   {schedule: custom, responses: []hookstest.Response{up}, attempts: custom[:1], state: hooks.Succeeded},
		"a hook's own of the longest day": {schedule: []time.Duration{0, 7 * day}, responses: []hookstest.Response{down}, attempts: []time.Duration{0, 7 * day}, state: hooks.Dead},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				harness := hookstest.New(t, seldom)
				e := harness.EndpointFor(hooks.Hook{Events: []string{"*"}, Schedule: tt.schedule})
				e.Respond(tt.responses...)
				e.Patience = 14 * day
				start := time.Now()
				triggerIDs(t, harness.Manager, "e1")
				settled := e.Settle()
				time.Sleep(2 * day) // and nothing more comes

				requests := e.Requests()
				require.Len(t, requests, len(tt.attempts))
				assert.Equal(t, tt.attempts[0], requests[0].ReceivedAt.Sub(start), "the first has no jitter")
				for i, r := range requests {
					assert.NoError(t, r.SignatureErr)
					assert.Equal(t, "e1", r.ID)
					if i > 0 {
						ended := requests[i-1].ReceivedAt.Add(responseTime)
						checkPause(t, i+1, tt.attempts[i], r.ReceivedAt.Sub(ended))
					}
				}
				require.Len(t, settled, 1)
				last := requests[len(requests)-1].ReceivedAt.Add(responseTime)
				assert.Equal(t, tt.state, settled[0].State)
				assert.Equal(t, len(tt.attempts), settled[0].Attempts)
				assert.Equal(t, last.UTC(), settled[0].EndedAt)
				assert.Equal(t, tt.state == hooks.Dead, settled[0].Reason != "")

				health := hooks.Health{}
				if tt.state == hooks.Dead {
					health.Failures = len(tt.attempts)
					health.FailingSince = requests[0].ReceivedAt.Add(responseTime).UTC()
				}
				assert.Equal(t, health, stored(t, harness.Manager, e.Hook).Health)
				checkLog(t, harness.Manager, requests, tt.state)
			})
		})
	}
}

// checkLog checks that the log has an attempt for each request, and that each
// said when the next would be.
func checkLog(t *testing.T, m *hooks.Manager, requests []hookstest.Request, last hooks.State) {
	t.Helper()
	logs, err := m.Logs(t.Context(), hooks.LogQuery{})
	require.NoError(t, err)
	require.Len(t, logs.Items, len(requests))
	slices.Reverse(logs.Items) // the oldest first
	for i, a := range logs.Items {
		assert.Equal(t, i+1, a.Number)
		assert.Equal(t, requests[i].ReceivedAt.UTC(), a.StartedAt)
		if i+1 == len(requests) {
			assert.Equal(t, last, a.State)
			assert.Zero(t, a.NextAt)
			continue
		}
		assert.Equal(t, hooks.Pending, a.State)
		assert.Equal(t, requests[i+1].ReceivedAt.UTC(), a.NextAt)
	}
}

// The retries of deliveries that failed together do not come together.
func TestRetriesAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		harness := hookstest.New(t)
		e := harness.EndpointFor(hooks.Hook{Events: []string{"*"}, Schedule: []time.Duration{0, time.Hour}})
		e.Respond(hookstest.Status(500))
		triggerIDs(t, harness.Manager, numbered("e", 30)...)
		e.Settle()
		moments := map[time.Time]bool{}
		for _, r := range e.Requests()[30:] {
			moments[r.ReceivedAt] = true
		}
		assert.Greater(t, len(moments), 20)
	})
}

// An asking response fails with a status and, maybe, a Retry-After.
type asking struct {
	status int
	// after is how long from the response Retry-After asks to wait. It has the
	// form that is named, or is missing or nonsense.
	after time.Duration
	form  string
	// pause is the schedule's before the attempt that follows.
	pause time.Duration
}

func drawAsking(t *rapid.T) asking {
	duration := func(limits ...time.Duration) *rapid.Generator[time.Duration] {
		return rapid.Custom(func(t *rapid.T) time.Duration {
			limit := rapid.SampledFrom(limits).Draw(t, "limit")
			return time.Duration(rapid.Int64Range(0, limit.Milliseconds()).Draw(t, "milliseconds")) * time.Millisecond
		})
	}
	return asking{
		status: rapid.SampledFrom([]int{429, 500, 502, 503, 504}).Draw(t, "status"),
		after:  duration(time.Second, time.Minute, 10*time.Minute, time.Hour, 40*time.Hour).Draw(t, "after"),
		form:   rapid.SampledFrom([]string{"seconds", "date", "past", "negative", "nonsense", "missing"}).Draw(t, "form"),
		pause:  duration(time.Second, time.Minute, time.Hour).Draw(t, "pause"),
	}
}

// header returns the Retry-After of a response given now, and the moment it asks
// for.
func (a asking) header(now time.Time) (value string, asked time.Time) {
	switch a.form {
	case "seconds":
		seconds := a.after / time.Second
		return strconv.Itoa(int(seconds)), now.Add(seconds * time.Second)
	case "date":
		at := now.Add(a.after).Truncate(time.Second)
		return at.UTC().Format(http.TimeFormat), at
	case "past":
		return now.Add(-a.after).UTC().Format(http.TimeFormat), now
	case "negative":
		return "-5", now
	case "nonsense":
		return "soon", time.Time{}
	}
	return "", time.Time{}
}

// bounds returns the earliest and the latest moment for the attempt that
// follows a response given now.
func (a asking) bounds(now time.Time) (earliest, latest time.Time) {
	_, asked := a.header(now)
	if limit := now.Add(day); asked.After(limit) {
		asked = limit
	}
	earliest, latest = now.Add(a.pause), now.Add(a.pause+a.pause/5+time.Millisecond)
	if asked.After(earliest) {
		earliest = asked
	}
	if asked = asked.Add(time.Second); asked.After(latest) {
		latest = asked // rounded up to a whole second
	}
	throttles := a.status == 429 || a.status == 502 || a.status == 504
	if limit := now.Add(time.Minute + time.Millisecond); throttles && limit.After(latest) {
		latest = limit // the endpoint did not say for how long
	}
	return earliest, latest
}

// No attempt comes earlier than the schedule says, nor earlier than the
// endpoint asked for, up to a day, and none much later.
func TestRetryAfterMovesTheNextAttempt(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		responses := rapid.SliceOfN(rapid.Custom(drawAsking), 1, 4).Draw(rt, "answers")
		var fault string // told outside of the bubble, where rapid is
		synctest.Test(t, func(t *testing.T) { fault = giveResponses(t, responses) })
		if fault != "" {
			rt.Fatal(fault)
		}
	})
}

// giveResponses has an endpoint fail with these responses and then succeed, and
// says which attempt came at the wrong time.
func giveResponses(t *testing.T, responses []asking) (fault string) {
	var gave []time.Time
	schedule := []time.Duration{0}
	script := make([]hookstest.Response, len(responses))
	least := time.Second // from the third retry on
	for i := range responses {
		a := &responses[i]
		schedule = append(schedule, a.pause)
		if i >= 2 && a.pause < time.Second {
			a.pause = least
			least *= 2
		}
		script[i] = func(w http.ResponseWriter, _ *http.Request) {
			now := time.Now()
			gave = append(gave, now)
			if value, _ := a.header(now); value != "" {
				w.Header().Set("Retry-After", value)
			}
			w.WriteHeader(a.status)
		}
	}
	harness := hookstest.New(t, seldom, neverDisable)
	e := harness.EndpointFor(hooks.Hook{Events: []string{"*"}, Schedule: schedule})
	e.Respond(append(script, hookstest.Status(200))...)
	triggerIDs(t, harness.Manager, "e1")
	if d := e.Settle()[0]; d.State != hooks.Succeeded || d.Attempts != len(schedule) {
		return fmt.Sprintf("the delivery has %s after %d attempts", d.State, d.Attempts)
	}
	for i, a := range responses {
		earliest, latest := a.bounds(gave[i])
		at := e.Requests()[i+1].ReceivedAt
		if at.Before(earliest) || at.After(latest) {
			return fmt.Sprintf("attempt %d came after %v, want %v to %v", i+2, at.Sub(gave[i]), earliest.Sub(gave[i]), latest.Sub(gave[i]))
		}
	}
	return ""
}

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

// An endpoint that does not say for how long is left alone longer and longer,
// up to a minute.
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

// While the endpoint is left alone, what is triggered waits too.
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

// A watcher records which hooks were disabled, and when. It is read after
// synctest.Wait.
type watcher struct {
	disabled []hooks.Hook
	at       []time.Time
}

func (w *watcher) watch(c *hooks.Config) {
	c.Observer.HookDisabled = func(h hooks.Hook) {
		w.disabled = append(w.disabled, h)
		w.at = append(w.at, time.Now())
	}
}

// failFor triggers a batch of events every 12 hours for so long, the first and
// the last included.
func failFor(t *testing.T, m *hooks.Manager, name string, d time.Duration) {
	t.Helper()
	for passed := time.Duration(0); ; passed += 12 * time.Hour {
		triggerIDs(t, m, numbered(name+strconv.Itoa(int(passed.Hours()))+"-", 10)...)
		synctest.Wait()
		if passed >= d {
			return
		}
		time.Sleep(12 * time.Hour)
	}
}

func TestAHookIsDisabledAfterALongFailure(t *testing.T) {
	tests := map[string]struct {
		disableAfter time.Duration // the configuration's
		failing      time.Duration
		want         time.Duration // from the first failure; 0: not disabled
	}{
		"by default after 5 days":         {0, 5*day + 12*time.Hour, 5 * day},
		"as configured":                   {day, 2 * day, day},
		"as configured, at the next then": {day + time.Hour, 2 * day, day + 12*time.Hour},
		"never":                           {-1, 5*day + 12*time.Hour, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var w watcher
				harness := hookstest.New(t, seldom, w.watch, func(c *hooks.Config) { c.DisableAfter = tt.disableAfter })
				e := harness.EndpointFor(hooks.Hook{Events: []string{"*"}, Schedule: []time.Duration{0}})
				e.Respond(hookstest.Status(500))
				start := time.Now()
				failFor(t, harness.Manager, "e", tt.failing)

				h := stored(t, harness.Manager, e.Hook)
				assert.Equal(t, start.UTC(), h.Health.FailingSince)
				if tt.want == 0 {
					assert.False(t, h.Disabled)
					assert.Empty(t, w.disabled)
					return
				}
				assert.True(t, h.Disabled)
				assert.NotEmpty(t, h.DisabledReason)
				require.Len(t, w.disabled, 1, "though ten attempts failed at that moment")
				assert.Equal(t, h.ID, w.disabled[0].ID)
				assert.Equal(t, h.DisabledReason, w.disabled[0].DisabledReason)
				assert.Equal(t, tt.want, w.at[0].Sub(start))
				requests := e.Requests()
				assert.Equal(t, tt.want, requests[len(requests)-1].ReceivedAt.Sub(start))
			})
		})
	}
}

func TestASuccessEndsALongFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w watcher
		harness := hookstest.New(t, seldom, w.watch, func(c *hooks.Config) { c.DisableAfter = day })
		e := harness.EndpointFor(hooks.Hook{Events: []string{"*"}, Schedule: []time.Duration{0}})
		e.Respond(hookstest.Status(500))
		failFor(t, harness.Manager, "a", 12*time.Hour)
		e.Respond(hookstest.Status(200))
		triggerIDs(t, harness.Manager, "good")
		synctest.Wait()
		assert.Equal(t, hooks.Health{}, stored(t, harness.Manager, e.Hook).Health)
		e.Respond(hookstest.Status(500))
		time.Sleep(12 * time.Hour)
		failFor(t, harness.Manager, "b", 12*time.Hour)
		assert.False(t, stored(t, harness.Manager, e.Hook).Disabled)
		failFor(t, harness.Manager, "c", 12*time.Hour)
		assert.True(t, stored(t, harness.Manager, e.Hook).Disabled)
		assert.Len(t, w.disabled, 1)
	})
}

// Enabling the hook is a new beginning for its endpoint.
func TestEnablingClearsWhatWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w watcher
		harness := hookstest.New(t, seldom, w.watch, func(c *hooks.Config) { c.DisableAfter = day })
		e := harness.EndpointFor(hooks.Hook{Events: []string{"*"}, Schedule: []time.Duration{0}})
		e.Respond(hookstest.Status(500))
		failFor(t, harness.Manager, "a", day)
		require.True(t, stored(t, harness.Manager, e.Hook).Disabled)

		enabled, err := harness.Manager.Update(t.Context(), "", e.Hook.ID, func(h *hooks.Hook) error {
			h.Disabled = false
			return nil
		})
		require.NoError(t, err)
		for _, h := range []hooks.Hook{enabled, stored(t, harness.Manager, e.Hook)} {
			assert.False(t, h.Disabled)
			assert.Empty(t, h.DisabledReason)
			assert.Equal(t, hooks.Health{}, h.Health)
		}

		triggerIDs(t, harness.Manager, "still-bad")
		synctest.Wait()
		h := stored(t, harness.Manager, e.Hook)
		assert.False(t, h.Disabled, "the failure has just begun")
		assert.Equal(t, 1, h.Health.Failures)
		e.Respond(hookstest.Status(200))
		triggerIDs(t, harness.Manager, "good")
		synctest.Wait()
		requests := e.Requests()
		assert.Equal(t, "good", requests[len(requests)-1].ID)
		assert.Equal(t, hooks.Health{}, stored(t, harness.Manager, e.Hook).Health)
		assert.Len(t, w.disabled, 1)
	})
}

// Health.ThrottledUntil is cleared too, so the endpoint may be asked at once.
func TestEnablingEndsTheThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		harness := hookstest.New(t)
		e := harness.Endpoint("*")
		e.Respond(hookstest.Status(429).Header("Retry-After", "86400"), hookstest.Status(200))
		triggerIDs(t, harness.Manager, "throttling")
		synctest.Wait()
		for _, disabled := range []bool{true, false} {
			_, err := harness.Manager.Update(t.Context(), "", e.Hook.ID, func(h *hooks.Hook) error {
				h.Disabled = disabled
				return nil
			})
			require.NoError(t, err)
		}
		require.Equal(t, hooks.Health{}, stored(t, harness.Manager, e.Hook).Health)
		triggerIDs(t, harness.Manager, "afterwards")
		time.Sleep(time.Minute)
		synctest.Wait()
		if requests := e.Requests(); assert.Len(t, requests, 2) {
			assert.Equal(t, "afterwards", requests[1].ID)
		}
	})
}

// An endpoint cannot keep its hook enabled by what it answers.
func TestAHookIsDisabledWhateverItsEndpointResponds(t *testing.T) {
	tests := map[string]string{
		"nothing":       "",
		"a long line":   strings.Repeat("x", 32<<10) + "\r\n",
		"control bytes": "HTTP/1.1 200 OK\r\n\x00\xff\x1b: \x00\r\n\r\n",
		"not UTF-8":     "\xff\xfe\r\n\r\n",
	}
	for name, response := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var w watcher
				harness := hookstest.New(t, seldom, w.watch, func(c *hooks.Config) { c.DisableAfter = time.Hour })
				e := harness.EndpointFor(hooks.Hook{Events: []string{"*"}, Schedule: []time.Duration{0, time.Hour}})
				e.Close()
				serveRaw(t, harness.Network.Listen(strings.TrimPrefix(e.URL, "http://")), func(c net.Conn) {
					readRequest(c)
					_, _ = io.WriteString(c, response)
					_ = c.Close()
				})
				triggerIDs(t, harness.Manager, "e1")
				e.Settle()
				synctest.Wait()
				assert.True(t, stored(t, harness.Manager, e.Hook).Disabled)
				assert.Len(t, w.disabled, 1)
			})
		})
	}
}

func TestARedeliveryStartsTheScheduleAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		harness := hookstest.New(t, seldom)
		schedule := []time.Duration{0, time.Minute, time.Hour}
		e := harness.EndpointFor(hooks.Hook{Events: []string{"*"}, Schedule: schedule})
		e.Respond(hookstest.Status(500))
		triggerIDs(t, harness.Manager, "e1")
		dead := e.Settle()[0]
		require.Equal(t, hooks.Dead, dead.State)
		require.Equal(t, 3, dead.Attempts)
		time.Sleep(day)

		e.Respond(hookstest.Status(500), hookstest.Status(500), hookstest.Status(200))
		start := time.Now()
		again, err := harness.Manager.Redeliver(t.Context(), "", dead.ID)
		require.NoError(t, err)
		assert.Equal(t, dead.ID, again.ID)
		assert.Equal(t, hooks.Pending, again.State)
		assert.Zero(t, again.Step)
		assert.Empty(t, again.Reason)
		_, err = harness.Manager.Redeliver(t.Context(), "", dead.ID)
		require.ErrorIs(t, err, hooks.ErrConflict, "it has not ended")

		settled := e.Settle()
		require.Len(t, settled, 1)
		assert.Equal(t, hooks.Succeeded, settled[0].State)
		assert.Equal(t, 6, settled[0].Attempts)
		requests := e.Requests()
		require.Len(t, requests, 6)
		assert.Equal(t, start, requests[3].ReceivedAt)
		for i, r := range requests {
			assert.Equal(t, "e1", r.ID)
			assert.Equal(t, requests[0].Body, r.Body)
			assert.NoError(t, r.SignatureErr)
			if i > 3 {
				checkPause(t, i+1, schedule[i-3], r.ReceivedAt.Sub(requests[i-1].ReceivedAt))
			}
		}
		checkLogOf(t, harness.Manager, 6)

		// What succeeded can be sent again as well.
		_, err = harness.Manager.Redeliver(t.Context(), "", dead.ID)
		require.NoError(t, err)
		assert.Equal(t, 7, e.Settle()[0].Attempts)
		assert.Equal(t, "e1", e.Requests()[6].ID)
	})
}

// checkLogOf checks that the log has the attempts 1 to n.
func checkLogOf(t *testing.T, m *hooks.Manager, n int) {
	t.Helper()
	var numbers []int
	for a, err := range m.AllLogs(t.Context(), hooks.LogQuery{PageQuery: hooks.PageQuery{Limit: 4}}) {
		require.NoError(t, err)
		numbers = append(numbers, a.Number)
	}
	for i, number := range numbers {
		assert.Equal(t, n-i, number)
	}
	assert.Len(t, numbers, n)
}

func TestReplayOfARange(t *testing.T) {
	const perHour = 30 // more than a page in all
	// Hours 0 to 3 fail but for one event each, hour 4 succeeds.
	hour := func(start time.Time, n int) time.Time { return start.Add(time.Duration(n) * time.Hour) }
	tests := map[string]struct {
		query func(start time.Time, h hooks.Hook) hooks.LogQuery
		want  map[int]int // how many of which hour
	}{
		"a range of time that was missed": {
			func(start time.Time, h hooks.Hook) hooks.LogQuery {
				return hooks.LogQuery{HookID: h.ID, States: []hooks.State{hooks.Dead}, Since: hour(start, 1), Until: hour(start, 3)}
			}, map[int]int{1: perHour - 1, 2: perHour - 1},
		},
		"all that failed": {
			func(_ time.Time, h hooks.Hook) hooks.LogQuery {
				return hooks.LogQuery{HookID: h.ID, States: []hooks.State{hooks.Dead}, PageQuery: hooks.PageQuery{Limit: 7}}
			}, map[int]int{0: perHour - 1, 1: perHour - 1, 2: perHour - 1, 3: perHour - 1},
		},
		"a range, whatever became of it": {
			func(start time.Time, _ hooks.Hook) hooks.LogQuery { return hooks.LogQuery{Since: hour(start, 3)} },
			map[int]int{3: perHour, 4: perHour},
		},
		"one event": {
			func(time.Time, hooks.Hook) hooks.LogQuery { return hooks.LogQuery{EventID: "hour-2-5"} }, map[int]int{2: 1},
		},
		"another tenant's": {
			func(time.Time, hooks.Hook) hooks.LogQuery { return hooks.LogQuery{Tenant: "other"} }, map[int]int{},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				harness := hookstest.New(t, seldom)
				e := harness.EndpointFor(hooks.Hook{Events: []string{"*"}, Schedule: []time.Duration{0}})
				start := time.Now()
				for n := range 5 {
					if n == 4 {
						e.Respond(hookstest.Status(200))
					} else {
						e.Respond(hookstest.Status(200), hookstest.Status(500))
					}
					triggerIDs(t, harness.Manager, numbered(fmt.Sprintf("hour-%d-", n), perHour)...)
					time.Sleep(time.Hour)
				}
				require.Len(t, e.Requests(), 5*perHour)

				e.Respond(hookstest.Status(200))
				n, err := harness.Manager.Replay(t.Context(), tt.query(start, e.Hook))
				require.NoError(t, err)
				e.Settle()
				got := map[int]int{}
				for _, r := range e.Requests()[5*perHour:] {
					got[int(r.Timestamp.Sub(start)/time.Hour)]++
				}
				assert.Equal(t, tt.want, got)
				total := 0
				for _, n := range tt.want {
					total += n
				}
				assert.Equal(t, total, n)
			})
		})
	}
}

func TestCancelEndsTheRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		harness := hookstest.New(t, seldom)
		e := harness.Endpoint("*")
		e.Respond(hookstest.Status(500))
		triggerIDs(t, harness.Manager, "e1")
		synctest.Wait()
		waiting, err := harness.Manager.Deliveries(t.Context(), hooks.LogQuery{States: []hooks.State{hooks.Pending}})
		require.NoError(t, err)
		require.Len(t, waiting.Items, 1)

		d, err := harness.Manager.Cancel(t.Context(), "", waiting.Items[0].ID)
		require.NoError(t, err)
		assert.Equal(t, hooks.Cancelled, d.State)
		assert.NotEmpty(t, d.Reason)
		assert.Equal(t, time.Now().UTC(), d.EndedAt)
		_, err = harness.Manager.Cancel(t.Context(), "", d.ID)
		require.ErrorIs(t, err, hooks.ErrConflict, "it has ended")
		time.Sleep(4 * day)
		assert.Len(t, e.Requests(), 1)

		// It can be taken up again.
		e.Respond(hookstest.Hang())
		_, err = harness.Manager.Redeliver(t.Context(), "", d.ID)
		require.NoError(t, err)
		synctest.Wait()
		_, err = harness.Manager.Cancel(t.Context(), "", d.ID)
		require.ErrorIs(t, err, hooks.ErrConflict, "it is being sent")
		e.Respond(hookstest.Status(200))
		assert.Equal(t, hooks.Succeeded, e.Settle()[0].State)
		assert.Len(t, e.Requests(), 3)
	})
}

// What failed at the same time is not all tried again at the same time.
func TestRetriesSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t)
		h.endpoint(hooks.Hook{Events: []string{"*"}, Schedule: []time.Duration{0, time.Hour}}, hookstest.Status(500))
		for range 100 {
			h.trigger(hooks.Event{Type: "a"})
		}
		pass(time.Minute)
		times := map[time.Time]bool{}
		for _, d := range h.deliveries(hooks.LogQuery{States: []hooks.State{hooks.Pending}}) {
			times[d.Due] = true
		}
		assert.Greater(t, len(times), 50)
	})
}

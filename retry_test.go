package hooks_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
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

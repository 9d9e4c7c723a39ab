package hooks_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
)

// respondByEvent responds with 500 to the events for which failing says so, after some
// time, in which another request of the same key would show.
func respondByEvent(failing func(eventID string) bool) hookstest.Response {
	return func(w http.ResponseWriter, r *http.Request) {
		status := 200
		if failing(r.Header.Get("Webhook-Id")) {
			status = 500
		}
		hookstest.Status(status).After(100*time.Millisecond)(w, r)
	}
}

func always(id string) func(string) bool { return func(eventID string) bool { return eventID == id } }

// spaced asserts that no request came while another was under way.
func spaced(t *testing.T, requests []hookstest.Request) {
	t.Helper()
	for i := 1; i < len(requests); i++ {
		assert.GreaterOrEqual(t, requests[i].ReceivedAt.Sub(requests[i-1].ReceivedAt), 100*time.Millisecond,
			"%s came while %s was under way", requests[i].ID, requests[i-1].ID)
	}
}

func TestOneKeyGoesInOrderOneAtATime(t *testing.T) {
	ways := map[string]func(h *harness, events []hooks.Event){
		"triggers": func(h *harness, events []hooks.Event) {
			for _, e := range events {
				h.trigger(e)
			}
		},
		"a batch": func(h *harness, events []hooks.Event) {
			_, err := h.TriggerBatch(h.t.Context(), events...)
			require.NoError(h.t, err)
		},
		"a transaction": func(h *harness, events []hooks.Event) {
			tx := h.store.Begin()
			for _, e := range events {
				_, err := h.TriggerTx(h.t.Context(), tx, e)
				require.NoError(h.t, err)
			}
			require.NoError(h.t, tx.Commit())
		},
	}
	for name, send := range ways {
		for _, running := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, running: %v", name, running), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := newHarness(t)
					if running {
						h.run(h.Manager)
					}
					r, _ := h.endpoint(hooks.Hook{Events: []string{"*"}}, respondByEvent(always("none")))
					var events []hooks.Event
					var want []string
					for i := range 20 {
						want = append(want, fmt.Sprintf("e%02d", i))
						events = append(events, hooks.Event{ID: want[i], Type: "a", OrderingKey: "key"})
					}
					send(h, events)
					if !running {
						h.run(h.Manager)
					}
					pass(time.Minute)
					assert.Equal(t, want, receivedIDs(r))
					spaced(t, r.Requests())
				})
			})
		}
	}
}

func TestAFailingHeadHoldsItsKeyBackAndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t)
		var repaired atomic.Bool
		r, hook := h.endpoint(hooks.Hook{Events: []string{"*"}, Schedule: []time.Duration{0, time.Hour, time.Hour}}, respondByEvent(func(id string) bool { return id == "a1" && !repaired.Load() }))
		well, _ := h.endpoint(hooks.Hook{Events: []string{"*"}})
		for _, e := range []hooks.Event{
			{ID: "a1", OrderingKey: "a"}, {ID: "a2", OrderingKey: "a"}, {ID: "b1", OrderingKey: "b"}, {ID: "free"}, {ID: "a3", OrderingKey: "a"}, {ID: "b2", OrderingKey: "b"},
			{ID: "A1", OrderingKey: "A"}, {ID: "elsewhere", OrderingKey: "a", Tenant: "acme"},
		} {
			e.Type = "a"
			h.trigger(e)
		}
		pass(time.Minute)
		got := receivedIDs(r)
		slices.Sort(got)
		assert.Equal(t, []string{"A1", "a1", "b1", "b2", "free"}, got, "but for its key, nothing waits for a1")
		assert.Len(t, well.Requests(), 7, "nor does another hook")
		states := map[string]hooks.State{}
		for _, d := range h.deliveries(hooks.LogQuery{HookID: hook.ID}) {
			states[d.EventID] = d.State
		}
		assert.Equal(t, map[string]hooks.State{
			"a1": hooks.Pending, "a2": hooks.Blocked, "a3": hooks.Blocked,
			"b1": hooks.Succeeded, "b2": hooks.Succeeded, "A1": hooks.Succeeded, "free": hooks.Succeeded,
		}, states)

		repaired.Store(true)
		pass(2 * time.Hour)
		assert.Equal(t, []string{"a1", "a2", "a3"}, receivedIDs(r)[5:])
	})
}

func TestADeadHead(t *testing.T) {
	type step func(h *harness, dead hooks.Delivery)
	redeliver := func(h *harness, d hooks.Delivery) {
		_, err := h.Redeliver(h.t.Context(), "", d.ID)
		require.NoError(h.t, err)
	}
	cancel := func(h *harness, d hooks.Delivery) {
		got, err := h.Cancel(h.t.Context(), "", d.ID)
		require.NoError(h.t, err)
		assert.Equal(h.t, hooks.Cancelled, got.State)
		assert.False(h.t, got.Held)
	}
	heal := func(*harness, hooks.Delivery) {}
	tests := map[string]struct {
		hold   bool
		before []string // attempts until the operator acts
		act    step
		heals  bool // meanwhile the endpoint has been repaired
		after  []string
		state  hooks.State // of the head in the end
		last   hooks.State // of the last
	}{
		"is skipped":                        {false, []string{"1", "1", "2", "3"}, heal, true, []string{}, hooks.Dead, hooks.Succeeded},
		"is skipped and sent again":         {false, []string{"1", "1", "2", "3"}, redeliver, true, []string{"1"}, hooks.Succeeded, hooks.Succeeded},
		"holds":                             {true, []string{"1", "1"}, heal, true, []string{}, hooks.Dead, hooks.Blocked},
		"holds until it is sent again":      {true, []string{"1", "1"}, redeliver, true, []string{"1", "2", "3"}, hooks.Succeeded, hooks.Succeeded},
		"holds until it is cancelled":       {true, []string{"1", "1"}, cancel, false, []string{"2", "3"}, hooks.Cancelled, hooks.Succeeded},
		"is sent again in vain, and skips":  {false, []string{"1", "1", "2", "3"}, redeliver, false, []string{"1", "1"}, hooks.Dead, hooks.Succeeded},
		"is sent again in vain, and holds":  {true, []string{"1", "1"}, redeliver, false, []string{"1", "1"}, hooks.Dead, hooks.Blocked},
		"is cancelled after it was skipped": {false, []string{"1", "1", "2", "3"}, nil, false, []string{}, hooks.Dead, hooks.Succeeded},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := runningHarness(t)
				var repaired atomic.Bool
				r, _ := h.endpoint(hooks.Hook{Events: []string{"*"}, HoldDead: tt.hold, Schedule: []time.Duration{0, time.Minute}},
					respondByEvent(func(id string) bool { return id == "1" && !repaired.Load() }))
				for _, id := range []string{"1", "2", "3"} {
					h.trigger(hooks.Event{ID: id, Type: "a", OrderingKey: "key"})
				}
				pass(time.Hour)
				require.Equal(t, tt.before, receivedIDs(r))
				head := h.delivery("", "1")
				assert.Equal(t, hooks.Dead, head.State)
				assert.Equal(t, tt.hold, head.Held)

				repaired.Store(tt.heals)
				if tt.act != nil {
					tt.act(h, head)
				} else {
					_, err := h.Cancel(t.Context(), "", head.ID)
					assert.ErrorIs(t, err, hooks.ErrConflict)
				}
				pass(time.Hour)
				assert.Equal(t, tt.after, receivedIDs(r)[len(tt.before):])
				spaced(t, r.Requests())
				assert.Equal(t, tt.state, h.delivery("", "1").State)
				assert.Equal(t, tt.last, h.delivery("", "3").State)

				h.trigger(hooks.Event{ID: "free", Type: "a"})
				pass(time.Minute)
				assert.Equal(t, hooks.Succeeded, h.delivery("", "free").State, "what has no key is never held")
			})
		})
	}
}

func TestCancellingWithinALine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t)
		r, _ := h.endpoint(hooks.Hook{Events: []string{"*"}, Schedule: []time.Duration{0, time.Hour}}, respondByEvent(always("1")))
		for _, id := range []string{"1", "2", "3"} {
			h.trigger(hooks.Event{ID: id, Type: "a", OrderingKey: "key"})
		}
		pass(time.Minute)
		for _, id := range []string{"2", "1"} { // one that is blocked, then the head
			require.Equal(t, []string{"1"}, receivedIDs(r))
			_, err := h.Cancel(t.Context(), "", h.delivery("", id).ID)
			require.NoError(t, err)
			pass(time.Minute)
		}
		assert.Equal(t, []string{"1", "3"}, receivedIDs(r))
	})
}

func TestASentAgainDeliveryTakesItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t)
		r, _ := h.endpoint(hooks.Hook{Events: []string{"*"}, Schedule: []time.Duration{0, time.Hour}}, respondByEvent(always("2")))
		for _, id := range []string{"1", "2", "3", "4"} {
			h.trigger(hooks.Event{ID: id, Type: "a", OrderingKey: "key"})
		}
		pass(time.Minute)
		require.Equal(t, []string{"1", "2"}, receivedIDs(r))
		d, err := h.Redeliver(t.Context(), "", h.delivery("", "1").ID)
		require.NoError(t, err)
		assert.Equal(t, hooks.Blocked, d.State, "behind the one whose turn it is")
		pass(3 * time.Hour)
		assert.Equal(t, []string{"1", "2", "2", "1", "3", "4"}, receivedIDs(r), "and before those that were triggered later")
	})
}

func TestReplayKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t)
		var repaired atomic.Bool
		r, _ := h.endpoint(hooks.Hook{Events: []string{"*"}, Schedule: []time.Duration{0}}, respondByEvent(func(string) bool { return !repaired.Load() }))
		var want []string
		for i := range 10 {
			want = append(want, fmt.Sprintf("e%d", i))
			h.trigger(hooks.Event{ID: want[i], Type: "a", OrderingKey: "key"})
			pass(time.Second)
		}
		require.Equal(t, want, receivedIDs(r))
		repaired.Store(true)
		n, err := h.Replay(t.Context(), hooks.LogQuery{States: []hooks.State{hooks.Dead}, PageQuery: hooks.PageQuery{Limit: 3}})
		require.NoError(t, err)
		assert.Equal(t, 10, n)
		pass(time.Minute)
		assert.Equal(t, want, receivedIDs(r)[10:], "a hook gets the events of one key in the order of their triggers")
	})
}

// The model: what becomes of the deliveries of one hook, told from the requests
// that its endpoint gets and from what the operator does.

// A job is one delivery.
type job struct {
	event     string
	sequence  int
	key       string
	line      *line // nil without a key
	failures  int   // responses of 500 before those of 200
	responses int
	step      int
	state     hooks.State // leased counts as pending
	held      bool
	sending   int // requests under way
}

// A line is the jobs of one hook and key that wait: the one whose turn it is,
// and those behind it in the order of their triggers.
type line struct {
	head    *job
	waiting []*job
}

func (l *line) join(j *job) {
	if l == nil || l.head == nil || l.head == j {
		j.state = hooks.Pending
		if l != nil {
			l.head = j
		}
		return
	}
	j.state = hooks.Blocked
	l.waiting = append(l.waiting, j)
	slices.SortFunc(l.waiting, func(a, b *job) int { return a.sequence - b.sequence })
}

func (l *line) leave(j *job) {
	switch {
	case l == nil:
	case l.head != j:
		l.waiting = slices.DeleteFunc(l.waiting, func(other *job) bool { return other == j })
	default:
		l.head = nil
		if len(l.waiting) > 0 {
			l.head, l.waiting = l.waiting[0], l.waiting[1:]
			l.head.state = hooks.Pending
		}
	}
}

// end ends a job.
func (j *job) end(state hooks.State, held bool) {
	j.state, j.held = state, held
	if !held {
		j.line.leave(j)
	}
}

// An orderedHook is a hook, its endpoint, and the model of both.
type orderedHook struct {
	id       string
	hold     bool
	schedule []time.Duration
	lines    map[string]*line

	mu    sync.Mutex
	jobs  map[string]*job
	fault string // the first thing that the model did not expect
}

// latency is how long a request takes.
const latency = 37 * time.Millisecond

// serve is the endpoint.
func (h *orderedHook) serve(w http.ResponseWriter, r *http.Request) {
	j := h.begin(r.Header.Get("Webhook-Id"))
	select {
	case <-time.After(latency):
		w.WriteHeader(h.response(j))
	case <-r.Context().Done():
		h.cut(j)
		panic(http.ErrAbortHandler)
	}
}

func (h *orderedHook) expect(ok bool, format string, args ...any) {
	if !ok && h.fault == "" {
		h.fault = fmt.Sprintf(format, args...)
	}
}

func (h *orderedHook) begin(event string) *job {
	h.mu.Lock()
	defer h.mu.Unlock()
	j := h.jobs[event]
	h.expect(j.state == hooks.Pending, "%s is sent although it is %s", event, j.state)
	h.expect(j.line == nil || j.line.head == j, "%s is sent although it is not its turn", event)
	j.sending++
	return j
}

func (h *orderedHook) response(j *job) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	// One that was cut may come again at the same instant, but is over now.
	h.expect(j.sending == 1, "%s is sent %d times at a time", j.event, j.sending)
	j.sending--
	j.responses++
	if j.responses > j.failures {
		j.end(hooks.Succeeded, false)
		return 200
	}
	if j.step++; j.step == len(h.schedule) {
		j.end(hooks.Dead, h.hold && j.line != nil)
	}
	return 500
}

// cut notes a request that the Manager broke off. It does not count against
// the schedule.
func (h *orderedHook) cut(j *job) {
	h.mu.Lock()
	defer h.mu.Unlock()
	j.sending--
}

// compare compares the model with what is stored.
func (h *orderedHook) compare(t require.TestingT, stored map[string]hooks.Delivery) {
	h.mu.Lock()
	defer h.mu.Unlock()
	require.Empty(t, h.fault)
	for event, j := range h.jobs {
		d := stored[event]
		state := d.State
		if state == hooks.Leased {
			state = hooks.Pending
		}
		require.Equal(t, j.state, state, "state of %s", event)
		require.Equal(t, j.held, d.Held, "%s is held", event)
		require.LessOrEqual(t, j.sending, 1, "requests under way of %s", event)
		if !state.Ended() {
			require.Equal(t, j.step, d.Step, "step of %s", event)
		}
	}
}

// An orderedWorld is what the property is about: hooks, Managers that come and
// go on one store, and an operator.
type orderedWorld struct {
	*harness
	grace  time.Duration
	hooks  []*orderedHook
	stops  []func()
	events int
}

func (w *orderedWorld) stored(hookID string) map[string]hooks.Delivery {
	stored := map[string]hooks.Delivery{}
	for _, d := range w.deliveries(hooks.LogQuery{HookID: hookID, PageQuery: hooks.PageQuery{Limit: 10_000}}) {
		stored[d.EventID] = d
	}
	return stored
}

func (w *orderedWorld) addHook(rt *rapid.T) {
	h := &orderedHook{
		hold: rapid.Bool().Draw(rt, "hold"), lines: map[string]*line{}, jobs: map[string]*job{},
		schedule: rapid.SampledFrom([][]time.Duration{{0}, {0, time.Second, 5 * time.Second}, {2 * time.Second, 0}}).Draw(rt, "schedule"),
	}
	_, stored := w.endpoint(hooks.Hook{Events: []string{"*"}, HoldDead: h.hold, Schedule: h.schedule}, h.serve)
	h.id = stored.ID
	w.hooks = append(w.hooks, h)
}

func (w *orderedWorld) triggerSome(rt *rapid.T) {
	var events []hooks.Event
	for range rapid.IntRange(1, 4).Draw(rt, "events") {
		w.events++
		e := hooks.Event{ID: fmt.Sprint(w.events), Type: "a", OrderingKey: rapid.SampledFrom([]string{"", "a", "a", "b"}).Draw(rt, "key")}
		events = append(events, e)
		for _, h := range w.hooks {
			h.mu.Lock()
			j := &job{event: e.ID, sequence: w.events, key: e.OrderingKey, failures: rapid.SampledFrom([]int{0, 0, 1, 2, 3, 50}).Draw(rt, "failures")}
			if e.OrderingKey != "" {
				if h.lines[e.OrderingKey] == nil {
					h.lines[e.OrderingKey] = &line{}
				}
				j.line = h.lines[e.OrderingKey]
			}
			j.line.join(j)
			h.jobs[e.ID] = j
			h.mu.Unlock()
		}
	}
	_, err := w.TriggerBatch(w.t.Context(), events...)
	require.NoError(rt, err)
}

// pick draws a delivery.
func (w *orderedWorld) pick(rt *rapid.T) (*orderedHook, *job, hooks.Delivery) {
	if w.events == 0 {
		rt.Skip()
	}
	h := rapid.SampledFrom(w.hooks).Draw(rt, "hook")
	event := fmt.Sprint(rapid.IntRange(1, w.events).Draw(rt, "event"))
	return h, h.jobs[event], w.stored(h.id)[event]
}

func (w *orderedWorld) redeliver(rt *rapid.T) {
	h, j, d := w.pick(rt)
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := w.Redeliver(w.t.Context(), "", d.ID)
	if !j.state.Ended() {
		require.ErrorIs(rt, err, hooks.ErrConflict)
		return
	}
	require.NoError(rt, err)
	j.step, j.held = 0, false
	j.line.join(j)
}

func (w *orderedWorld) replay(rt *rapid.T) {
	h := rapid.SampledFrom(w.hooks).Draw(rt, "hook")
	h.mu.Lock()
	defer h.mu.Unlock()
	n, err := w.Replay(w.t.Context(), hooks.LogQuery{
		HookID: h.id, States: []hooks.State{hooks.Dead}, PageQuery: hooks.PageQuery{Limit: 3},
	})
	require.NoError(rt, err)
	dead := 0
	for event := 1; event <= w.events; event++ {
		if j := h.jobs[fmt.Sprint(event)]; j.state == hooks.Dead {
			dead++
			j.step, j.held = 0, false
			j.line.join(j)
		}
	}
	require.Equal(rt, dead, n)
}

func (w *orderedWorld) cancel(rt *rapid.T) {
	h, j, d := w.pick(rt)
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := w.Cancel(w.t.Context(), "", d.ID)
	if d.State == hooks.Leased || j.state.Ended() && !j.held {
		require.ErrorIs(rt, err, hooks.ErrConflict)
		return
	}
	require.NoError(rt, err)
	j.end(hooks.Cancelled, false)
}

func (w *orderedWorld) start(rt *rapid.T) {
	if len(w.stops) == 2 {
		rt.Skip()
	}
	m := w.manager(w.store, func(c *hooks.Config) { c.MaxInFlight, c.Grace, c.PollInterval = 4, w.grace, time.Minute })
	w.stops = append(w.stops, w.run(m))
}

func (w *orderedWorld) stop(rt *rapid.T) {
	if len(w.stops) == 0 {
		rt.Skip()
	}
	i := rapid.IntRange(0, len(w.stops)-1).Draw(rt, "manager")
	w.stops[i]()
	w.stops = slices.Delete(w.stops, i, i+1)
}

// crash has somebody take deliveries and never be heard of again.
func (w *orderedWorld) crash(rt *rapid.T) {
	at := time.Now().UTC().Truncate(time.Millisecond)
	_, _, err := w.store.Claim(w.t.Context(), hooks.ClaimRequest{
		Owner: "ghost", Now: at, Until: at.Add(3 * time.Second), Limit: hooks.Capacity{Deliveries: rapid.IntRange(1, 5).Draw(rt, "taken")},
	})
	require.NoError(rt, err)
}

func (w *orderedWorld) compare(t require.TestingT) {
	synctest.Wait()
	for _, h := range w.hooks {
		h.compare(t, w.stored(h.id))
	}
}

// responses counts the logged attempts that were not broken off, by event.
func (w *orderedWorld) responses(hookID string) map[string]int {
	responses := map[string]int{}
	for _, a := range w.attempts(hooks.LogQuery{HookID: hookID, PageQuery: hooks.PageQuery{Limit: 10_000}}) {
		if a.Class != hooks.ClassInterrupted {
			responses[a.EventID]++
		}
	}
	return responses
}

// Whatever fails and whoever comes and goes: of each hook and key there is one
// request at a time, in the order of the triggers; a failing head holds its key
// back, a dead one if the hook says so; and nothing else waits.
func TestOrderingKeysUnderFailure(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		inBubble(t, func(t *testing.T) {
			w := &orderedWorld{harness: newHarness(t), grace: rapid.SampledFrom([]time.Duration{-1, time.Minute}).Draw(rt, "grace")}
			w.check = rt
			for range rapid.IntRange(1, 2).Draw(rt, "hooks") {
				w.addHook(rt)
			}
			w.start(rt)
			rt.Repeat(map[string]func(*rapid.T){
				"":        func(rt *rapid.T) { w.compare(rt) },
				"trigger": w.triggerSome,
				"wait": func(rt *rapid.T) {
					pass(rapid.SampledFrom([]time.Duration{20, 50, 1000, 10_000}).Draw(rt, "ms") * time.Millisecond)
				},
				"redeliver": w.redeliver,
				"replay":    w.replay,
				"cancel":    w.cancel,
				"start":     w.start,
				"stop":      w.stop,
				"crash":     w.crash,
			})
			if len(w.stops) == 0 {
				w.start(rt)
			}
			pass(10 * time.Minute)
			w.compare(rt)
			for _, h := range w.hooks {
				responses := w.responses(h.id)
				for _, j := range h.jobs {
					require.Equal(rt, j.responses, responses[j.event], "attempts of %s", j.event)
					held := j.line != nil && j.line.head != nil && j.line.head.held
					require.True(rt, j.state.Ended() || held, "%s waits for nothing: it is %s", j.event, j.state)
				}
			}
		})
	})
}

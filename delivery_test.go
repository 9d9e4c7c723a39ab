package hooks_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
)

func TestRedeliver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t)
		r, hook := h.endpoint(hooks.Hook{Events: []string{"*"}, Schedule: []time.Duration{0, time.Minute}}, hookstest.Status(500))
		h.trigger(hooks.Event{ID: "e", Type: "a"})
		synctest.Wait()
		d := h.delivery("", "e")
		_, err := h.Redeliver(t.Context(), "", d.ID)
		require.ErrorIs(t, err, hooks.ErrConflict, "it has not ended")
		pass(2 * time.Minute)
		require.Equal(t, hooks.Dead, h.delivery("", "e").State)

		for _, tenant := range []string{"acme", " "} {
			_, err = h.Redeliver(t.Context(), tenant, d.ID)
			require.ErrorIs(t, err, hooks.ErrNotFound)
		}
		_, err = h.Redeliver(t.Context(), "", "unknown")
		require.ErrorIs(t, err, hooks.ErrNotFound)

		redelivered, err := h.Redeliver(t.Context(), "", d.ID)
		require.NoError(t, err)
		assert.Equal(t, hooks.Pending, redelivered.State)
		assert.Equal(t, time.Now().UTC(), redelivered.Due)
		assert.Zero(t, redelivered.Step)
		assert.Empty(t, redelivered.Reason)
		assert.True(t, redelivered.EndedAt.IsZero())
		synctest.Wait()
		assert.Equal(t, 3, h.delivery("", "e").Attempts, "at once")
		pass(2 * time.Minute)
		assert.Equal(t, 4, h.delivery("", "e").Attempts, "and with the whole schedule before it")
		assert.Equal(t, hooks.Dead, h.delivery("", "e").State)

		// What succeeded or was cancelled can be sent again as well.
		r.Respond(hookstest.Status(200))
		for range 2 {
			_, err = h.Redeliver(t.Context(), "", d.ID)
			require.NoError(t, err)
			synctest.Wait()
			require.Equal(t, hooks.Succeeded, h.delivery("", "e").State)
		}
		h.update(hook.Ref(), func(hook *hooks.Hook) { hook.Schedule = []time.Duration{time.Hour} })
		h.trigger(hooks.Event{ID: "late", Type: "a"})
		late := h.delivery("", "late")
		_, err = h.Cancel(t.Context(), "", late.ID)
		require.NoError(t, err)
		_, err = h.Redeliver(t.Context(), "", late.ID)
		require.NoError(t, err)
		synctest.Wait()
		assert.Equal(t, hooks.Succeeded, h.delivery("", "late").State)

		assert.Equal(t, []string{"e", "e", "e", "e", "e", "e", "late"}, receivedIDs(r), "the idempotency key stays")
		for i, a := range h.attempts(hooks.LogQuery{EventID: "e"}) {
			assert.Equal(t, 6-i, a.Number)
		}
	})
}

func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := history(t)
		var began time.Time
		replay := func(q hooks.LogQuery) (int, []string) {
			pass(5 * time.Minute)
			began = time.Now().UTC()
			n, err := h.Replay(t.Context(), q)
			require.NoError(t, err)
			synctest.Wait()
			var again []string
			for _, a := range h.attempts(hooks.LogQuery{Tenant: q.Tenant, Since: began}) {
				again = append(again, a.EventID+" to "+a.HookID)
			}
			slices.Sort(again)
			return n, again
		}
		e3 := h.deliveries(hooks.LogQuery{EventID: "e3"})[0]
		n, again := replay(hooks.LogQuery{States: []hooks.State{hooks.Dead}, Since: e3.CreatedAt, PageQuery: hooks.PageQuery{Limit: 1}})
		assert.Equal(t, 3, n)
		assert.Equal(t, []string{"called-off to bad", "e3 to bad", "e4 to bad"}, again)
		pass(time.Hour)

		n, again = replay(hooks.LogQuery{EventID: "e0"})
		assert.Equal(t, 2, n, "what waits for its retry is not replayed")
		assert.Equal(t, []string{"e0 to bad", "e0 to good"}, again, "at once, whatever the schedule")
		n, again = replay(hooks.LogQuery{EventID: "e0", Until: e3.CreatedAt, HookID: "slow"})
		assert.Zero(t, n)
		assert.Empty(t, again)
		n, again = replay(hooks.LogQuery{Tenant: "acme"})
		assert.Equal(t, 3, n)
		assert.Equal(t, []string{"e0 to good", "e2 to good", "e4 to good"}, again)
		n, again = replay(hooks.LogQuery{Tenant: "nobody"})
		assert.Zero(t, n)
		assert.Empty(t, again)
	})
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t)
		r, hook := h.endpoint(hooks.Hook{Events: []string{"*"}, Schedule: []time.Duration{time.Hour, time.Hour}}, hookstest.Hang())
		h.trigger(hooks.Event{ID: "waits", Type: "a"})
		d := h.delivery("", "waits")
		_, err := h.Cancel(t.Context(), "acme", d.ID)
		require.ErrorIs(t, err, hooks.ErrNotFound)
		_, err = h.Cancel(t.Context(), "", "unknown")
		require.ErrorIs(t, err, hooks.ErrNotFound)

		cancelled, err := h.Cancel(t.Context(), "", d.ID)
		require.NoError(t, err)
		assert.Equal(t, cancelled, h.delivery("", "waits"))
		assert.Equal(t, hooks.Cancelled, cancelled.State)
		assert.Equal(t, time.Now().UTC(), cancelled.EndedAt)
		assert.NotEmpty(t, cancelled.Reason)
		_, err = h.Cancel(t.Context(), "", d.ID)
		require.ErrorIs(t, err, hooks.ErrConflict, "it has ended")
		pass(3 * time.Hour)
		assert.Empty(t, r.Requests())

		h.trigger(hooks.Event{ID: "under-way", Type: "a"})
		pass(time.Hour + time.Second)
		d = h.delivery("", "under-way")
		_, err = h.Cancel(t.Context(), "", d.ID)
		require.ErrorIs(t, err, hooks.ErrConflict, "it is being sent")
		pass(time.Minute)
		_, err = h.Cancel(t.Context(), "", d.ID)
		require.NoError(t, err, "it waits for its retry")
		pass(3 * time.Hour)
		assert.Len(t, r.Requests(), 1)
		assert.Equal(t, 1, h.hook(hook.Ref()).Health.Failures)
	})
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

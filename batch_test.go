package hooks_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
)

// batching puts up to a hundred events into a request, whose body lists their IDs.
func batching() *testProtocol {
	return &testProtocol{
		name:   "batching",
		traits: hooks.Traits{MaxBatch: 100, Schedule: []time.Duration{0, time.Minute}},
		request: func(_ context.Context, _ hooks.Send, h hooks.Hook, msgs []hooks.Message) (hooks.Request, error) {
			var ids []string
			for _, msg := range msgs {
				ids = append(ids, msg.Event.ID)
			}
			body, err := json.Marshal(ids)
			if err != nil {
				return hooks.Request{}, err
			}
			req, err := post(h, msgs[0])
			req.Body = body
			return req, err
		},
	}
}

func TestWaitingEventsShareARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, speaks(batching()))
		r, hook := h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "batching", MaxBatch: 3, MaxInFlight: 1},
			hookstest.Status(200).Body("thanks"), hookstest.Status(500).Body("oh"), hookstest.Status(200))
		other, _ := h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "batching", MaxBatch: 3})
		for i := range 5 {
			h.trigger(hooks.Event{ID: fmt.Sprint(i), Type: "a"})
		}
		stop := h.run(h.Manager)
		pass(time.Second)
		requests := r.Requests()
		require.Len(t, requests, 2)
		assert.JSONEq(t, `["0","1","2"]`, string(requests[0].Body))
		assert.JSONEq(t, `["3","4"]`, string(requests[1].Body))
		assert.Len(t, other.Requests(), 2, "hooks do not share")
		for i := range 5 {
			log := h.attempts(hooks.LogQuery{HookID: hook.ID, EventID: fmt.Sprint(i)})
			require.Len(t, log, 1, "each has its own record")
			assert.Equal(t, 1, log[0].Number)
			d := h.deliveries(hooks.LogQuery{HookID: hook.ID, EventID: fmt.Sprint(i)})[0]
			assert.Equal(t, d.ID, log[0].DeliveryID)
			assert.Equal(t, d.State, log[0].State)
			assert.Equal(t, 1, d.Attempts)
			if i < 3 {
				assert.Equal(t, hooks.Succeeded, d.State)
				assert.Equal(t, 200, log[0].Response.Status)
				assert.Equal(t, "thanks", string(log[0].Response.Body))
			} else {
				assert.Equal(t, hooks.Pending, d.State)
				assert.Equal(t, 500, log[0].Response.Status)
				assert.Equal(t, "oh", string(log[0].Response.Body))
				assert.Equal(t, sha256.Sum256([]byte(`["3","4"]`)), log[0].Request.BodySHA256)
			}
		}
		stop()
		pass(time.Hour)
		h.run(h.Manager)
		pass(time.Second)
		requests = r.Requests()
		require.Len(t, requests, 3)
		for _, d := range h.deliveries(hooks.LogQuery{}) {
			assert.Equal(t, hooks.Succeeded, d.State)
		}

		// What does not wait goes at once, alone.
		h.trigger(hooks.Event{ID: "alone", Type: "a"})
		assert.JSONEq(t, `["alone"]`, string(r.Wait(4)[3].Body))
	})
}

func TestABatchKeepsToOrderingKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, speaks(batching()))
		r, _ := h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "batching", MaxBatch: 3, MaxInFlight: 1}, hookstest.Status(500), hookstest.Status(200))
		for i, key := range []string{"a", "a", "b", "", "a"} {
			h.trigger(hooks.Event{ID: fmt.Sprint(i), Type: "a", OrderingKey: key})
		}
		h.run(h.Manager)
		pass(time.Hour)
		var keyed []string
		for i, request := range r.Requests() {
			var batch []string
			require.NoError(t, json.Unmarshal(request.Body, &batch))
			if i == 0 {
				assert.Equal(t, []string{"0", "2", "3"}, batch)
			}
			batch = slices.DeleteFunc(batch, func(id string) bool { return id == "2" || id == "3" })
			assert.LessOrEqual(t, len(batch), 1, "of one key there is one event at a time")
			keyed = append(keyed, batch...)
		}
		assert.Equal(t, []string{"0", "0", "1", "4"}, keyed)
	})
}

// The Manager may have taken events for a batch when the hook goes over to a
// protocol that has none.
func TestAHookThatChangesItsProtocolGetsEveryEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t, speaks(batching(), &testProtocol{name: "single", traits: hooks.Traits{Schedule: []time.Duration{0, time.Minute}}}))
		r, hook := h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "batching", MaxBatch: 3, MaxInFlight: 1}, hookstest.Status(200).After(time.Second), hookstest.Status(200))
		h.trigger(hooks.Event{ID: "first", Type: "a"})
		synctest.Wait()
		want := []string{"first"}
		for i := range 3 {
			id := fmt.Sprint(i)
			h.trigger(hooks.Event{ID: id, Type: "a"})
			want = append(want, id)
		}
		h.update(hook.Ref(), func(hook *hooks.Hook) { hook.Protocol, hook.MaxBatch = "single", 0 })
		pass(time.Hour)
		assert.ElementsMatch(t, want, receivedIDs(r))
		for _, d := range h.deliveries(hooks.LogQuery{}) {
			assert.Equal(t, hooks.Succeeded, d.State)
		}
	})
}

// batches returns the IDs of the events in each request that came.
func batches(t testing.TB, r *hookstest.Receiver) [][]string {
	t.Helper()
	var all [][]string
	for _, request := range r.Requests() {
		var ids []string
		require.NoError(t, json.Unmarshal(request.Body, &ids))
		all = append(all, ids)
	}
	return all
}

func TestABatchWaitsForItsWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t, speaks(batching()))
		r, _ := h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "batching", MaxBatch: 3, BatchWindow: 10 * time.Second})
		trigger := func(ids ...string) {
			for _, id := range ids {
				h.trigger(hooks.Event{ID: id, Type: "a"})
			}
		}
		trigger("a")
		pass(8 * time.Second)
		trigger("b")
		pass(1900 * time.Millisecond)
		assert.Empty(t, r.Requests(), "the window is open")
		pass(100 * time.Millisecond)
		assert.Equal(t, [][]string{{"a", "b"}}, batches(t, r), "10 s after the first was due")

		pass(time.Hour)
		trigger("c", "d")
		pass(time.Second)
		assert.Len(t, r.Requests(), 1)
		trigger("e", "f")
		synctest.Wait()
		assert.Equal(t, []string{"c", "d", "e"}, batches(t, r)[1], "a full batch does not wait")
		pass(9900 * time.Millisecond)
		assert.Len(t, r.Requests(), 2)
		pass(100 * time.Millisecond)
		assert.Equal(t, []string{"f"}, batches(t, r)[2], "what was too much for it has a window of its own")
	})
}

// A batch fails as one, is tried again as one, and is dead as one; then each of
// its events can be sent again.
func TestABatchFailsAsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t, speaks(batching()))
		r, _ := h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "batching", MaxBatch: 20, BatchWindow: time.Second}, hookstest.Status(500))
		var want []string
		for i := range 15 {
			want = append(want, fmt.Sprint(i))
			h.trigger(hooks.Event{ID: want[i], Type: "a"})
		}
		pass(time.Hour)
		assert.Equal(t, [][]string{want, want}, batches(t, r))
		for _, d := range h.deliveries(hooks.LogQuery{}) {
			assert.Equal(t, hooks.Dead, d.State)
			assert.Equal(t, 2, d.Attempts)
		}
		r.Respond(hookstest.Status(200))
		again := h.delivery("", "7")
		_, err := h.Redeliver(t.Context(), "", again.ID)
		require.NoError(t, err)
		pass(time.Hour)
		assert.Equal(t, []string{"7"}, batches(t, r)[2])
		assert.Equal(t, hooks.Succeeded, h.delivery("", "7").State)
	})
}

// A window ends with Run: what was waiting goes back, and out as soon as somebody
// runs again.
func TestAWindowEndsWithRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, speaks(batching()))
		stop := h.run(h.Manager)
		r, _ := h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "batching", MaxBatch: 100, BatchWindow: 10 * time.Second})
		h.trigger(hooks.Event{ID: "a", Type: "a"})
		h.trigger(hooks.Event{ID: "b", Type: "a"})
		pass(time.Second)
		stop()
		assert.Empty(t, r.Requests())
		for _, d := range h.deliveries(hooks.LogQuery{}) {
			assert.Equal(t, hooks.Pending, d.State)
		}
		pass(9 * time.Second)
		h.run(h.Manager)
		synctest.Wait()
		assert.Equal(t, [][]string{{"a", "b"}}, batches(t, r))
	})
}

// Batches of large events have at most 1 MiB of data.
func TestABatchIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, speaks(batching()), func(c *hooks.Config) { c.MaxPayload = 2 << 20 })
		r, _ := h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "batching", MaxBatch: 100, MaxInFlight: 1})
		const kib = 1 << 10
		for i, size := range []int{512 * kib, 512 * kib, 1, 1024 * kib, 1025 * kib, 1, 1} {
			h.trigger(hooks.Event{ID: fmt.Sprint(i), Type: "a", Data: digits(size)})
		}
		h.run(h.Manager)
		pass(time.Minute)
		assert.Equal(t, [][]string{{"0", "1"}, {"2"}, {"3"}, {"4"}, {"5", "6"}}, batches(t, r))
	})
}

// digits is JSON of this size.
func digits(size int) []byte { return bytes.Repeat([]byte("1"), size) }

// Hooks whose deliveries wait for each other leave room for those that do not
// wait, however many they are.
func TestGatheringDelaysNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t, speaks(batching()), func(c *hooks.Config) { c.MaxInFlight = 4 })
		for range 10 {
			h.endpoint(hooks.Hook{Events: []string{"slow"}, Protocol: "batching", MaxBatch: 100, BatchWindow: 10 * time.Second})
		}
		r, _ := h.endpoint(hooks.Hook{Events: []string{"quick"}})
		for i := range 20 {
			h.trigger(hooks.Event{Type: "slow"})
			h.trigger(hooks.Event{ID: fmt.Sprint(i), Type: "quick"})
			pass(200 * time.Millisecond)
			assert.Len(t, r.Requests(), i+1, "two polls suffice")
		}
		pass(time.Minute)
		for _, d := range h.deliveries(hooks.LogQuery{}) {
			assert.Equal(t, hooks.Succeeded, d.State)
		}
	})
}

// Whatever comes when, and whatever the response: each event is in a request, none
// is in two at a time, no request has too many, and none comes too late.
func TestBatchesKeepTheirPromises(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		hook := hooks.Hook{Events: []string{"*"}, Protocol: "batching",
			MaxBatch:    rapid.IntRange(1, 30).Draw(rt, "max batch"),
			BatchWindow: time.Duration(rapid.IntRange(0, 3000).Draw(rt, "window")) * time.Millisecond,
			MaxInFlight: rapid.IntRange(0, 3).Draw(rt, "max in flight"),
		}
		pauses := rapid.SliceOfN(rapid.IntRange(0, 700), 1, 60).Draw(rt, "pauses")
		failing := rapid.IntRange(0, 3).Draw(rt, "failing")
		synctest.Test(t, func(t *testing.T) {
			h := runningHarness(t, speaks(batching()))
			responses := slices.Repeat([]hookstest.Response{hookstest.Status(500).After(time.Millisecond)}, failing)
			r, _ := h.endpoint(hook, append(responses, hookstest.Status(200).After(time.Millisecond))...)
			var want []string
			for i, pause := range pauses {
				want = append(want, fmt.Sprint(i))
				h.trigger(hooks.Event{ID: want[i], Type: "a"})
				pass(time.Duration(pause) * time.Millisecond)
			}
			pass(time.Hour)
			var got []string
			for i, batch := range batches(t, r) {
				assert.LessOrEqual(t, len(batch), hook.MaxBatch)
				if i >= failing {
					got = append(got, batch...)
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if failing <= 1 { // else one may be dead
				assert.Equal(t, want, got)
			}
			for _, a := range h.attempts(hooks.LogQuery{}) {
				d := h.delivery("", a.EventID)
				assert.True(t, d.State.Ended())
				if a.Number == 1 {
					waited := a.StartedAt.Sub(d.CreatedAt)
					assert.LessOrEqual(t, waited, hook.BatchWindow+time.Second, "of event %s", a.EventID)
				}
			}
		})
	})
}

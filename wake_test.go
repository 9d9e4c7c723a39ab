package hooks_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
)

// silentStore is a store that tells nobody when it was written to. It records when
// it was asked for work.
type silentStore struct {
	hooks.Store
	claims record[time.Time]
}

func (s *silentStore) Claim(ctx context.Context, r hooks.ClaimRequest) ([]hooks.Claimed, time.Time, error) {
	s.claims.add(time.Now())
	return s.Store.Claim(ctx, r)
}

// commit triggers an event in a transaction that commits.
func (h *harness) commit(id string) {
	tx := h.store.Begin()
	_, err := h.TriggerTx(h.t.Context(), tx, hooks.Event{ID: id, Type: "a"})
	require.NoError(h.check, err)
	require.NoError(h.check, tx.Commit())
}

func TestWakeSendsWhatWasCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.Manager = h.manager(&silentStore{Store: h.store}, seldom)
		h.Wake() // nothing runs yet
		stop := h.run(h.Manager)
		r, _ := h.endpoint(hooks.Hook{Events: []string{"*"}})
		pass(time.Second)

		for _, id := range []string{"1", "2"} {
			h.commit(id)
			committed := time.Now()
			synctest.Wait()
			assert.NotContains(t, receivedIDs(r), id, "the next poll is in a minute")
			h.Wake()
			synctest.Wait()
			assert.Contains(t, receivedIDs(r), id)
			assert.Equal(t, committed, time.Now())
			pass(time.Second)
		}
		h.commit("3")
		pass(time.Minute)
		assert.Contains(t, receivedIDs(r), "3", "the poll finds it anyway")

		stop()
		h.Wake() // nor any more
		h.commit("4")
		synctest.Wait()
		assert.Len(t, r.Requests(), 3)
	})
}

// Wakes that come in a row cause a claim at once and then one in 10 ms.
func TestManyWakesCauseFewClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		store := &silentStore{Store: h.store}
		h.Manager = h.manager(store, seldom)
		h.run(h.Manager)
		pass(time.Second)
		before, began := len(store.claims.all()), time.Now()
		var all sync.WaitGroup
		for range 100 {
			for range 10 {
				all.Go(h.Wake)
			}
			all.Wait()
			pass(time.Millisecond)
		}
		pass(10 * time.Second)
		claims := store.claims.all()[before:]
		require.Len(t, claims, 11)
		for i, at := range claims {
			assert.Equal(t, time.Duration(i)*10*time.Millisecond, at.Sub(began))
		}
	})
}

// An event that is committed while a claim is under way is sent after a Wake all
// the same.
func TestAWakeDuringAClaimIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		claiming, release := make(chan struct{}), make(chan struct{})
		var block atomic.Bool
		store := &faultyStore{Store: h.store, claim: func(context.Context) error {
			if block.CompareAndSwap(true, false) {
				claiming <- struct{}{}
				<-release
			}
			return nil
		}}
		h.Manager = h.manager(struct{ hooks.Store }{store}, seldom)
		h.run(h.Manager)
		r, _ := h.endpoint(hooks.Hook{Events: []string{"*"}})
		pass(time.Second)
		block.Store(true)
		h.Wake()
		<-claiming
		h.commit("e")
		h.Wake()
		close(release)
		pass(10 * time.Millisecond)
		assert.Equal(t, []string{"e"}, receivedIDs(r))
	})
}

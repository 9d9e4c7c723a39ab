package hooks

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// A delivery that the filter has refused, and that has no lease any more, does not keep
// the others of its batch from waiting for a slot.
func TestACancelledDeliveryDoesNotEndTheWaitForASlot(t *testing.T) {
	e := &engine{m: &Manager{cfg: Config{Lease: time.Minute}, filterSlots: newFilterSlots(1)}}
	c := &compiled{hook: &Hook{}, timeout: time.Second, filterTime: time.Second}
	items := make([]item, 2)
	for i := range items {
		items[i].Claimed = &Claimed{Delivery: Delivery{Lease: Lease{Token: 1, Until: time.Now().Add(time.Minute)}}, Event: &Event{}}
	}
	cancelled(items[0].Claimed, "the filter did not let it through")
	assert.True(t, e.waitForSlot(t.Context(), c, items, []verdict{unwanted, undecided}))
}

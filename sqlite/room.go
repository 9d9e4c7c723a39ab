package sqlite

import (
	"cmp"
	"math"

	"github.com/seed-2c6e3a5a/hooks"
)

// A room is what is left of a [hooks.Room].
type room struct {
	deliveries int
	bytes      int64
}

func newRoom(r hooks.Room) room { return room{r.Deliveries, cmp.Or(r.Bytes, math.MaxInt64)} }

func (r *room) open() bool { return r.deliveries > 0 && r.bytes > 0 }

// take takes up the room of a delivery whose event has this data.
func (r *room) take(data []byte) {
	r.deliveries--
	r.bytes -= int64(len(data))
}

func (c *claim) roomOf(tenant string) room {
	if r, known := c.r.Tenants[tenant]; known {
		return newRoom(r)
	}
	r := c.r.PerTenant
	r.Deliveries = cmp.Or(r.Deliveries, math.MaxInt)
	return newRoom(r)
}

// roomOfHook returns how many more of the hook the claim may take.
func (c *claim) roomOfHook(h *hookRow) int {
	left, known := c.ofHooks[h.n]
	if !known {
		if left, known = c.r.Hooks[h.ref]; !known {
			left = cmp.Or(c.r.PerHook, math.MaxInt)
		}
		c.ofHooks[h.n] = left
	}
	return left
}

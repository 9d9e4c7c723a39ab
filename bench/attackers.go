package main

import (
	"fmt"
	"strings"
	"time"
)

// An attacker is one tenant or several whose events and endpoints may hold up
// others.
type attacker struct {
	name    string        // for the command line
	text    string        // for the table
	tenants int           // as many of the same kind
	hooks   int           // of a tenant, each of which gets all its events
	every   time.Duration // between the triggers of a tenant
	batch   int           // events triggered at once
	size    int           // of an event's data in bytes; 0: as the neighbour's
	paths   []string      // of the endpoints, which the hooks have in turn
	filter  string        // of the hooks
	renewed int           // hooks that are deleted and registered anew each renewInterval
	moving  bool          // they are registered for new tenants, which replace the old
}

const (
	tenth         = time.Second / 10 // 10 events/s
	once          = time.Hour        // longer than anything is measured
	renewInterval = 100 * time.Millisecond
	// maxPayload is the default of hooks.Config.
	maxPayload = 256 << 10
)

// alone names the row without an attacker, which the others are compared with.
const alone = "alone"

// attackers are all, in the order of the table. No name is part of another. In
// events and requests they keep to what two cores can do beside the neighbour,
// endpoints included.
var attackers = []attacker{
	{name: alone, text: "nobody"},
	{
		name: "late", text: "one tenant, 100 hooks that respond with 200 after 4 s",
		tenants: 1, hooks: 100, every: tenth, batch: 1, paths: []string{pathAfter("4s")},
	},
	{
		name: "few", text: "one tenant, 8 hooks that respond with 200 after 2 s",
		tenants: 1, hooks: 8, every: tenth, batch: 1, paths: []string{pathAfter("2s")},
	},
	{
		name: "hang", text: "one tenant, 100 hooks that hang",
		tenants: 1, hooks: 100, every: tenth, batch: 1, paths: []string{pathHang},
	},
	{
		name: "renewed", text: "one tenant, 100 hooks that hang or respond after 4 s, a tenth registered anew each 100 ms",
		tenants: 1, hooks: 100, every: tenth, batch: 1, paths: []string{pathHang, pathAfter("4s")}, renewed: 10,
	},
	{
		name: "at-once", text: "one tenant, 30 hooks that hang, 60 events at once, at the start",
		tenants: 1, hooks: 30, every: once, batch: 60, paths: []string{pathHang},
	},
	{
		name: "200-tenants", text: "200 tenants, 1 hook each that responds after 4 s",
		tenants: 200, hooks: 1, every: tenth, batch: 1, paths: []string{pathAfter("4s")},
	},
	{
		name: "20-tenants", text: "20 tenants, 100 hooks each that respond after 4 s, 2 events/s each",
		tenants: 20, hooks: 100, every: time.Second / 2, batch: 1, paths: []string{pathAfter("4s")},
	},
	{
		name: "2000-tenants", text: "2,000 tenants, 1 hook each that hangs, 1 event/s each",
		tenants: 2000, hooks: 1, every: time.Second, batch: 1, paths: []string{pathHang},
	},
	{
		name: "burst", text: "one tenant, 100 hooks that respond after 50 ms, 100 events at once each 4 s: 10,000 deliveries",
		tenants: 1, hooks: 100, every: 4 * time.Second, batch: 100, paths: []string{pathAfter("50ms")},
	},
	{
		name: "trickle", text: "one tenant, 100 hooks whose response trickles: its header at once, its body byte by byte",
		tenants: 1, hooks: 100, every: tenth, batch: 1, paths: []string{pathTrickle},
	},
	{
		name: "redirect", text: "one tenant, 100 hooks that redirect to what hangs",
		tenants: 1, hooks: 100, every: tenth, batch: 1, paths: []string{pathRedirect},
	},
	{
		name: "reset", text: "one tenant, 100 hooks that reset the connection",
		tenants: 1, hooks: 100, every: tenth, batch: 1, paths: []string{pathReset},
	},
	{
		name: "turning", text: "one tenant, 100 hooks that respond at once for 3 s, and after 4 s from then on",
		tenants: 1, hooks: 100, every: tenth, batch: 1, paths: []string{pathTurning},
	},
	{
		name: "large", text: "one tenant, 20 hooks that respond at once, events of 256 KiB",
		tenants: 1, hooks: 20, every: tenth, batch: 1, size: maxPayload, paths: []string{pathQuick},
	},
	{
		name: "filters", text: "one tenant, 100 hooks whose filters take long, events of 256 KiB",
		tenants: 1, hooks: 100, every: tenth, batch: 1, size: maxPayload, paths: []string{pathQuick},
		filter: `data.text matches "(x|xx|xxx)*y"`,
	},
	{
		name: "come-and-go", text: "100 tenants, 1 hook each that hangs, a tenth replaced by new tenants each 100 ms, 10 events/s each",
		tenants: 100, hooks: 1, every: tenth, batch: 1, paths: []string{pathHang}, renewed: 10, moving: true,
	},
}

func findAttacker(name string) (attacker, error) {
	for _, a := range attackers {
		if a.name == name {
			return a, nil
		}
	}
	return attacker{}, fmt.Errorf("there is no attacker %q", name)
}

func attackerNames() []string {
	names := make([]string, len(attackers))
	for i, a := range attackers {
		names[i] = a.name
	}
	return names
}

// data is the data of one of the attacker's events.
func (a attacker) data() []byte {
	if a.size == 0 {
		return newData()
	}
	empty := fmt.Sprintf(data, 0, "")
	return fmt.Appendf(nil, data, 0, strings.Repeat("x", a.size-len(empty)))
}

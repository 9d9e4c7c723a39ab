package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// An attack is an attacker's, under way.
type attack struct {
	attacker
	manager   *hooks.Manager
	endpoints string                   // their URL
	names     []atomic.Pointer[string] // of the tenants
	ids       []string                 // of the hooks, tenant by tenant
	events    atomic.Int64
}

// newAttack registers the attacker's hooks.
func newAttack(ctx context.Context, a attacker, m *hooks.Manager, endpoints string) (*attack, error) {
	k := &attack{
		attacker: a, manager: m, endpoints: endpoints,
		names: make([]atomic.Pointer[string], a.tenants), ids: make([]string, a.tenants*a.hooks),
	}
	for tenant := range k.names {
		k.rename(tenant, 0)
	}
	for i := range k.ids {
		if err := k.register(ctx, i); err != nil {
			return nil, err
		}
	}
	return k, nil
}

func (k *attack) rename(tenant, generation int) {
	name := fmt.Sprintf("attacker-%d-%d", tenant, generation)
	k.names[tenant].Store(&name)
}

// tenant is the name of the tenant of a hook.
func (k *attack) tenant(hook int) string { return *k.names[hook/k.hooks].Load() }

func (k *attack) register(ctx context.Context, hook int) error {
	h, err := k.manager.Register(ctx, hooks.Hook{
		Tenant: k.tenant(hook), Events: []string{eventType}, Filter: k.filter,
		URL: k.endpoints + k.paths[hook%len(k.paths)], Timeout: hangTimeout,
	})
	k.ids[hook] = h.ID
	return err
}

// run triggers the events of all tenants, and renews hooks, from begin on until
// end. The tenants begin one after another within the time between the events
// of one.
func (k *attack) run(ctx context.Context, begin, end time.Time, fail func(error)) {
	until, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	var group sync.WaitGroup
	for tenant := range k.tenants {
		batch := slices.Repeat([]hooks.Event{{Type: eventType, Data: k.data()}}, k.batch)
		first := begin.Add(k.every / time.Duration(k.tenants) * time.Duration(tenant))
		group.Go(func() {
			each(until, first, k.every, times(end.Sub(first), k.every), func(int) {
				for i := range batch {
					batch[i].Tenant = *k.names[tenant].Load()
				}
				if _, err := k.manager.TriggerBatch(ctx, batch...); err != nil {
					fail(err)
				}
				k.events.Add(int64(k.batch))
			})
		})
	}
	if k.renewed > 0 {
		group.Go(func() {
			each(until, begin, renewInterval, times(end.Sub(begin), renewInterval), func(round int) {
				if err := k.renew(ctx, round); err != nil {
					fail(err)
				}
			})
		})
	}
	group.Wait()
}

// renew deletes some hooks and registers them anew, others in each round.
func (k *attack) renew(ctx context.Context, round int) error {
	for n := range k.renewed {
		hook := (round*k.renewed + n) % len(k.ids)
		if err := k.manager.Delete(ctx, k.tenant(hook), k.ids[hook]); err != nil {
			return err
		}
		if k.moving {
			k.rename(hook/k.hooks, round+1)
		}
		if err := k.register(ctx, hook); err != nil {
			return err
		}
	}
	return nil
}

// times is how often an interval begins within d.
func times(d, interval time.Duration) int { return int((d + interval - 1) / interval) }

// each calls do n times, at the beginning of each interval, by the clock and
// not by when the last call has returned: one that is late for that follows at
// once. It ends early with its context.
func each(ctx context.Context, begin time.Time, interval time.Duration, n int, do func(i int)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := range n {
		timer.Reset(time.Until(begin.Add(time.Duration(i) * interval)))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		if ctx.Err() != nil {
			return
		}
		do(i)
	}
}

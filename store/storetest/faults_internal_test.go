package storetest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/memory"
	"github.com/seed-2c6e3a5a/hooks/store"
)

// A fault makes of good stores some that break these rules.
type fault struct {
	name   string
	breaks string
	make   func(*Harness)
}

// wrapped is a fault of another store around the good one.
func wrapped(f func(hooks.Store) hooks.Store) func(*Harness) {
	return func(h *Harness) {
		open := h.Open
		h.Open = func(t testing.TB) hooks.Store { return f(open(t)) }
	}
}

// edited is a fault of what goes into a store or comes out of it.
func edited(e edit) func(*Harness) {
	return wrapped(func(s hooks.Store) hooks.Store {
		e.Store = s
		return e
	})
}

// eachDelivery edits the deliveries that come out.
func eachDelivery(f func(*hooks.Delivery)) edit {
	return edit{
		delivery: f,
		deliveries: func(p *hooks.Page[hooks.Delivery]) {
			for i := range p.Items {
				f(&p.Items[i])
			}
		},
	}
}

// eachAttempt edits the attempts that come out.
func eachAttempt(f func(*hooks.Attempt)) edit {
	return edit{attempts: func(p *hooks.Page[hooks.Attempt]) {
		for i := range p.Items {
			f(&p.Items[i])
		}
	}}
}

// eachEvent edits copies of the events that go in.
func eachEvent(f func(*hooks.Event)) edit {
	return edit{entries: func(entries []hooks.Entry) []hooks.Entry {
		entries = slices.Clone(entries)
		for i := range entries {
			e := *entries[i].Event
			f(&e)
			entries[i].Event = &e
		}
		return entries
	}}
}

// eachEnqueued edits copies of the deliveries that go in.
func eachEnqueued(f func(*hooks.Delivery)) edit {
	return edit{entries: func(entries []hooks.Entry) []hooks.Entry {
		entries = slices.Clone(entries)
		for i := range entries {
			entries[i].Deliveries = slices.Clone(entries[i].Deliveries)
			for j := range entries[i].Deliveries {
				f(&entries[i].Deliveries[j])
			}
		}
		return entries
	}}
}

// eachSettlement edits the settlements that go in.
func eachSettlement(f func(*hooks.Settlement)) edit {
	return edit{settlements: func(list []hooks.Settlement) {
		for i := range list {
			f(&list[i])
		}
	}}
}

func ignore(what error) func(error) error {
	return func(err error) error {
		if errors.Is(err, what) {
			return nil
		}
		return err
	}
}

var faults = []fault{
	// Hooks.
	{"forgets the version check", "hooks/update_version concurrency/update", wrapped(func(s hooks.Store) hooks.Store { return anyVersion{s} })},
	{"replaces a hook as a whole", "hooks/update hooks/update_keeps hooks/update_enables", wrapped(func(s hooks.Store) hooks.Store { return replaces{s} })},
	{"keeps health when a hook is enabled", "hooks/update_enables queue/throttle_over", wrapped(func(s hooks.Store) hooks.Store { return keepsHealth{s} })},
	{"has refused calls succeed: duplicate", "hooks/create_duplicate events/duplicate events/duplicate_within concurrency/create", edited(edit{err: ignore(hooks.ErrDuplicate)})},
	{"has refused calls succeed: not found", "hooks/delete states/cancel_missing states/redeliver_missing concurrency/delete", edited(edit{err: ignore(hooks.ErrNotFound)})},
	{"has refused calls succeed: conflict", "states/cancel_conflict states/redeliver_conflict concurrency/redeliver concurrency/cancel", edited(edit{err: ignore(hooks.ErrConflict)})},
	{"creates a hook that exists", "hooks/create_duplicate concurrency/create", wrapped(func(s hooks.Store) hooks.Store { return overwrites{s} })},
	{"has no limit of hooks", "hooks/create_limit hooks/create_limit_deleted concurrency/create_limit", wrapped(func(s hooks.Store) hooks.Store { return otherLimit{s, func(int) int { return 0 }} })},
	{"takes one hook more than the limit", "hooks/create_limit concurrency/create_limit", wrapped(func(s hooks.Store) hooks.Store {
		return otherLimit{s, func(n int) int { return n + min(n, 1) }}
	})},
	{"counts hooks before it creates one", "concurrency/create_limit", wrapped(func(s hooks.Store) hooks.Store { return countsFirst{Store: s} })},
	{"looks at the number of hooks before the ID", "hooks/create_limit", wrapped(func(s hooks.Store) hooks.Store { return countsFirst{s, true} })},
	{"counts the hooks of all tenants", "hooks/create_limit", wrapped(func(s hooks.Store) hooks.Store {
		return &countsAll{Store: s, created: map[string]int{}}
	})},
	{"counts deleted hooks", "hooks/create_limit_deleted", wrapped(func(s hooks.Store) hooks.Store {
		return &countsAll{Store: s, deleted: true, created: map[string]int{}}
	})},
	{"creates a hook that is updated", "hooks/update_missing", wrapped(func(s hooks.Store) hooks.Store { return upserts{s} })},
	{"starts versions at 1", "hooks/create", edited(edit{hook: func(h *hooks.Hook) { h.Version = 1 }})},
	{"keeps deleted hooks' IDs", "hooks/create_again changes/again", wrapped(func(s hooks.Store) hooks.Store { return &burnsIDs{Store: s} })},
	{"deletes the deliveries with their hook", "hooks/delete_keeps", wrapped(func(s hooks.Store) hooks.Store { return &burnsIDs{Store: s, logs: true} })},
	{"forgets hook fields", "hooks/create hooks/update", edited(edit{hook: func(h *hooks.Hook) { h.HoldDead = false }})},
	{"forgets Disabled filter", "hooks/filters", edited(edit{hookQuery: func(q *hooks.HookQuery) { q.Disabled = nil }})},
	{"forgets Protocol filter", "hooks/filters paging/filtered", edited(edit{hookQuery: func(q *hooks.HookQuery) { q.Protocol = "" }})},
	{"lists deliveries newest first always", "paging/pages", edited(edit{logQuery: func(q *hooks.LogQuery) { q.OldestFirst = false }})},
	{"lists newest first always", "hooks/order", edited(edit{hookQuery: func(q *hooks.HookQuery) { q.OldestFirst = false }})},

	// Changes.
	{"forgets deletions", "changes/last changes/whole", edited(edit{changes: func(list []hooks.HookChange) []hooks.HookChange {
		return slices.DeleteFunc(list, func(c hooks.HookChange) bool { return c.Deleted })
	}})},
	{"returns the latest changes first", "changes/last", edited(edit{changes: func(list []hooks.HookChange) []hooks.HookChange {
		slices.Reverse(list)
		return list
	}})},
	{"counts revisions anew", "changes/revisions durability/revisions", edited(edit{changes: func(list []hooks.HookChange) []hooks.HookChange {
		for i := range list {
			list[i].Revision = int64(i + 1)
		}
		return list
	}})},
	{"adds changes below what it has returned", "changes/after concurrency/changes", wrapped(func(s hooks.Store) hooks.Store { return lateChanges{s} })},
	{"makes health a change", "changes/health", wrapped(func(s hooks.Store) hooks.Store { return touches{s} })},

	// Events.
	{"enqueues one after the other", "events/duplicate events/duplicate_within concurrency/enqueue", wrapped(func(s hooks.Store) hooks.Store { return oneAfterOther{s} })},
	{"drops metadata", "events/stored", edited(eachEvent(func(e *hooks.Event) { e.Metadata = nil }))},
	{"compacts JSON", "values/data", edited(eachEvent(func(e *hooks.Event) {
		var b bytes.Buffer
		if json.Compact(&b, e.Data) == nil {
			e.Data = b.Bytes()
		}
	}))},
	{"keeps JSON as a value", "values/settings", edited(edit{hook: func(h *hooks.Hook) {
		var v any
		if json.Unmarshal(h.Settings, &v) == nil {
			h.Settings, _ = json.Marshal(v)
		}
	}})},
	{"keeps no event without deliveries", "events/alone", edited(edit{entries: func(list []hooks.Entry) []hooks.Entry {
		return slices.DeleteFunc(slices.Clone(list), func(e hooks.Entry) bool { return len(e.Deliveries) == 0 })
	}})},
	{"stores leased deliveries as pending", "events/leased", edited(eachEnqueued(func(d *hooks.Delivery) {
		d.State, d.Lease = pending, hooks.Lease{}
	}))},
	{"refuses deliveries without a hook", "events/no_hook", wrapped(func(s hooks.Store) hooks.Store { return needsHooks{s} })},
	{"keeps the keys of refused events", "events/duplicate_key", wrapped(func(s hooks.Store) hooks.Store { return keepsKeys{s} })},

	// Claims.
	{"claims a millisecond early", "queue/due leases/expiry queue/throttle", edited(edit{request: func(r *hooks.ClaimRequest) { r.Now = r.Now.Add(ms) }})},
	{"claims a millisecond late", "queue/due leases/expiry queue/throttle", edited(edit{request: func(r *hooks.ClaimRequest) { r.Now = r.Now.Add(-ms) }})},
	{"claims what others have leased", "queue/only_due queue/lease leases/expiry concurrency/claim", edited(edit{request: func(r *hooks.ClaimRequest) { r.Until = r.Now }})},
	{"ignores Limit", "capacity/limit model/*", edited(edit{request: func(r *hooks.ClaimRequest) { r.Limit = upTo(many) }})},
	{"ignores Limit.Bytes", "capacity/limit_bytes capacity/each capacity/together", edited(edit{request: func(r *hooks.ClaimRequest) { r.Limit.Bytes = 0 }})},
	{"exceeds Limit.Bytes by two events", "capacity/limit_bytes capacity/together", edited(edit{request: func(r *hooks.ClaimRequest) {
		if r.Limit.Bytes > 0 {
			r.Limit.Bytes += 100
		}
	}})},
	{"exceeds Limit.Bytes although it is reached", "capacity/limit_bytes", edited(edit{request: func(r *hooks.ClaimRequest) {
		if r.Limit.Bytes > 0 {
			r.Limit.Bytes++
		}
	}})},
	{"never exceeds Limit.Bytes", "capacity/limit_bytes capacity/each", measures(ofDelivery, false)},
	{"counts an event once", "capacity/each", measures(ofEvent, true)},
	{"ignores PerTenant", "capacity/per_tenant capacity/per_tenant_bytes capacity/together", edited(edit{request: func(r *hooks.ClaimRequest) { r.PerTenant = hooks.Capacity{} }})},
	{"ignores PerTenant.Bytes", "capacity/per_tenant_bytes", edited(edit{request: func(r *hooks.ClaimRequest) { r.PerTenant.Bytes = 0 }})},
	{"takes PerTenant for none without Deliveries", "capacity/per_tenant capacity/per_tenant_bytes queue/due", edited(edit{request: func(r *hooks.ClaimRequest) {
		if r.PerTenant.Deliveries == 0 {
			r.Limit = hooks.Capacity{}
		}
	}})},
	{"ignores Tenants", "capacity/tenants capacity/together turns/uneven", edited(edit{request: func(r *hooks.ClaimRequest) { r.Tenants = nil }})},
	{"ignores the bytes in Tenants", "capacity/tenants", edited(edit{request: func(r *hooks.ClaimRequest) {
		r.Tenants = maps.Clone(r.Tenants)
		for tenant, capacity := range r.Tenants {
			r.Tenants[tenant] = upTo(capacity.Deliveries)
		}
	}})},
	{"has PerTenant bound the tenants in Tenants, too", "capacity/tenants", edited(edit{request: func(r *hooks.ClaimRequest) {
		r.Tenants = maps.Clone(r.Tenants)
		for tenant, capacity := range r.Tenants {
			if r.PerTenant.Deliveries > 0 {
				r.Tenants[tenant] = upTo(min(capacity.Deliveries, r.PerTenant.Deliveries))
			}
		}
	}})},
	{"ignores PerHook", "capacity/per_hook capacity/together tenants/limits", edited(edit{request: func(r *hooks.ClaimRequest) { r.PerHook = 0 }})},
	{"ignores Hooks", "capacity/hooks capacity/together tenants/limits", edited(edit{request: func(r *hooks.ClaimRequest) { r.Hooks = nil }})},
	{"claims one less than it could", "capacity/whole", edited(edit{request: func(r *hooks.ClaimRequest) { r.Limit.Deliveries = max(1, r.Limit.Deliveries-1) }})},
	{"takes the turn of what has no capacity", "capacity/keeps_turn capacity/keeps_lane", wrapped(servesAll)},
	{"ignores throttles", "queue/throttle queue/next_throttle", edited(eachSettlement(func(s *hooks.Settlement) { s.ThrottleUntil = time.Time{} }))},
	{"serves the whole queue by due time", "lanes/backlog lanes/turns lanes/newcomer turns/backlog", sorts(by(byDue))},
	{"serves retries first", "lanes/retries lanes/turns", sorts(by(retriesFirst))},
	{"serves the latest first", "queue/earliest queue/expired_first", sorts(by(latestDue))},
	{"serves by delivery ID", "queue/first_triggered lanes/even lanes/uneven lanes/tenants", sorts(by(byID))},
	{"gives each lane a turn, whatever its tenant", "turns/even turns/uneven turns/backlog turns/turns", sorts(inRounds(hookOf))},
	{"begins each claim with the same tenant", "turns/turns turns/newcomer", sorts(inRounds(tenantOf))},
	{"begins each claim with the same lane", "lanes/turns lanes/newcomer turns/lanes", sorts(inRounds(hookOf))},
	{"returns next late", "queue/next_due queue/next_lease queue/next_throttle queue/next_changed model/*", edited(edit{claimed: func(_ hooks.ClaimRequest, _ *[]hooks.Claimed, next *time.Time) {
		if !next.IsZero() {
			*next = next.Add(ms)
		}
	}})},
	{"always returns a next", "queue/next_none", edited(edit{claimed: func(r hooks.ClaimRequest, _ *[]hooks.Claimed, next *time.Time) {
		if next.IsZero() {
			*next = r.Now.Add(time.Second)
		}
	}})},
	{"returns no next when the limit is reached", "queue/next_later", edited(edit{claimed: func(r hooks.ClaimRequest, list *[]hooks.Claimed, next *time.Time) {
		if len(*list) == r.Limit.Deliveries {
			*next = time.Time{}
		}
	}})},
	{"mixes up events", "queue/event", edited(edit{claimed: func(_ hooks.ClaimRequest, list *[]hooks.Claimed, _ *time.Time) {
		for i := range *list {
			(*list)[i].Event = (*list)[0].Event
		}
	}})},

	// Leases.
	{"settles with any token", "leases/stale_token ordering/kept durability/leases", wrapped(func(s hooks.Store) hooks.Store { return anyToken{s} })},
	{"has tokens that do not grow", "leases/token leases/stale_token queue/lease", wrapped(func(s hooks.Store) hooks.Store { return sameToken{anyToken{s}} })},
	{"settles all or nothing", "leases/stale_token", wrapped(func(s hooks.Store) hooks.Store { return allOrNothing{s} })},
	{"refuses late settlements", "leases/late", wrapped(func(s hooks.Store) hooks.Store { return punctual{s} })},
	{"returns results in another order", "leases/results", edited(edit{settled: func(list []hooks.Settled) { slices.Reverse(list) }})},
	{"returns results without health", "leases/results leases/health", edited(edit{settled: func(list []hooks.Settled) {
		for i := range list {
			list[i].Health = hooks.Health{}
		}
	}})},
	{"hides lost leases", "leases/stale_token leases/not_leased leases/twice concurrency/settle model/*", edited(edit{settled: func(list []hooks.Settled) {
		for i := range list {
			list[i].LeaseLost = false
		}
	}})},
	{"drops the attempt", "leases/attempt leases/health concurrency/health", edited(eachSettlement(func(s *hooks.Settlement) { s.Attempt = nil }))},
	{"makes up an attempt", "leases/attempt_none", edited(eachSettlement(func(s *hooks.Settlement) {
		if s.Attempt == nil {
			s.Attempt = &hooks.Attempt{DeliveryID: s.DeliveryID, Tenant: home, Class: hooks.ClassInterrupted, StartedAt: start}
		}
	}))},
	{"knows one kind of truncation", "values/attempt", edited(eachAttempt(func(a *hooks.Attempt) {
		a.Response.Truncated = a.Response.Truncated || a.Response.HeaderTruncated
	}))},
	{"keeps attempts as text", "values/attempt", edited(eachAttempt(func(a *hooks.Attempt) {
		a.Response.Body = []byte(strings.ToValidUTF8(string(a.Response.Body), "?"))
	}))},
	{"keeps no response but the latest", "leases/dropped", edited(eachAttempt(func(a *hooks.Attempt) {
		if a.State == pending && a.Number > 1 {
			a.Response = hooks.AttemptResponse{Status: a.Response.Status, Truncated: a.Response.Truncated, Dropped: true}
		}
	}))},
	{"does not say that responses are missing", "leases/dropped", edited(eachAttempt(func(a *hooks.Attempt) { a.Response.Dropped = false }))},
	{"forgets the reason", "leases/outcome", edited(eachSettlement(func(s *hooks.Settlement) { s.Reason = "" }))},

	// States and keys.
	{"forgets Hold", "ordering/kept ordering/blocked ordering/redeliver_held", edited(eachSettlement(func(s *hooks.Settlement) { s.Hold = false }))},
	{"holds every dead delivery", "ordering/free ordering/release", edited(eachSettlement(func(s *hooks.Settlement) { s.Hold = s.State == dead }))},
	{"forgets what is undecided", "states/undecided", edited(eachEnqueued(func(d *hooks.Delivery) { d.Undecided = false }))},
	{"forgets what Settle says of that", "states/undecided", edited(eachSettlement(func(s *hooks.Settlement) { s.Undecided = true }))},
	{"returns another delivery than is stored", "states/redeliver states/cancel", edited(edit{delivery: func(d *hooks.Delivery) { d.Reason += "!" }})},
	{"forgets ordering keys", "ordering/blocked ordering/fan_out ordering/cancel_head ordering/one_at_a_time concurrency/keys", edited(eachEnqueued(func(d *hooks.Delivery) { d.OrderingKey = "" }))},
	{"ignores the case of ordering keys", "ordering/apart", edited(eachEnqueued(func(d *hooks.Delivery) { d.OrderingKey = strings.ToLower(d.OrderingKey) }))},
	{"orders keys by delivery ID", "ordering/release ordering/one_at_a_time durability/keys", edited(edit{entries: func(list []hooks.Entry) []hooks.Entry {
		return slices.SortedFunc(slices.Values(list), func(a, b hooks.Entry) int {
			return cmp.Compare(firstID(a), firstID(b))
		})
	}})},
	{"orders over all hooks", "ordering/apart ordering/fan_out ordering/redeliver_free", edited(eachEnqueued(func(d *hooks.Delivery) {
		if d.OrderingKey != "" {
			d.HookID = "a"
		}
	}))},
	{"releases nothing", "ordering/release ordering/release_batch ordering/cancel_blocked concurrency/keys", wrapped(func(s hooks.Store) hooks.Store { return stuck{s} })},
	{"releases the next of a retried delivery", "ordering/kept", wrapped(func(s hooks.Store) hooks.Store { return hasty{s} })},
	{"redelivers without regard to keys", "ordering/redeliver_blocked", wrapped(func(s hooks.Store) hooks.Store { return rushes{s} })},

	// Logs.
	{"forgets the HookID filter", "logs/deliveries_filters logs/attempts_filters", edited(edit{logQuery: func(q *hooks.LogQuery) { q.HookID = "" }})},
	{"forgets the States filter", "logs/deliveries_filters logs/attempts_filters", edited(edit{logQuery: func(q *hooks.LogQuery) { q.States = nil }})},
	{"excludes Since", "logs/deliveries_filters logs/attempts_filters", edited(edit{logQuery: func(q *hooks.LogQuery) {
		if !q.Since.IsZero() {
			q.Since = q.Since.Add(ms)
		}
	}})},
	{"lists the oldest first", "hooks/order logs/deliveries_order logs/attempts_order", edited(edit{
		deliveries: func(p *hooks.Page[hooks.Delivery]) { slices.Reverse(p.Items) },
		attempts:   func(p *hooks.Page[hooks.Attempt]) { slices.Reverse(p.Items) },
		hooksPage:  func(p *hooks.Page[hooks.Hook]) { slices.Reverse(p.Items) },
	})},
	{"hides the attempts of redelivered deliveries", "logs/attempts_outlive", wrapped(func(s hooks.Store) hooks.Store { return &forgetful{Store: s} })},
	{"includes until", "stats/range stats/last_error", edited(edit{window: func(_, until *time.Time) { *until = until.Add(ms) }})},
	{"excludes since", "stats/range stats/last_error", edited(edit{window: func(since, _ *time.Time) { *since = since.Add(ms) }})},
	{"leaves idle hooks out", "stats/zeros", edited(edit{stats: func(m map[string]hooks.Stats) {
		for id, s := range m {
			if s == (hooks.Stats{}) {
				delete(m, id)
			}
		}
	}})},
	{"counts failures as successes", "stats/counts", edited(edit{stats: func(m map[string]hooks.Stats) {
		for id, s := range m {
			s.Successes, s.Failures = s.Deliveries, 0
			m[id] = s
		}
	}})},
	{"purges what is not older", "purge/ended purge/events purge/hooks", edited(edit{purge: func(r *hooks.PurgeRequest) { r.Before = r.Before.Add(ms) }})},
	{"purges too little", "purge/ended purge/events", edited(edit{purge: func(r *hooks.PurgeRequest) { r.Before = r.Before.Add(-ms) }})},
	{"ignores the limit of Purge", "purge/limit", edited(edit{purge: func(r *hooks.PurgeRequest) { r.Limit = many }})},
	{"keeps any number for each hook", "purge/per_hook", edited(edit{purge: func(r *hooks.PurgeRequest) { r.KeepPerHook = 0 }})},
	{"keeps one less for each hook", "purge/per_hook", edited(edit{purge: func(r *hooks.PurgeRequest) { r.KeepPerHook-- }})},
	{"stops purging early", "purge/limit", edited(edit{purged: func(n *int) { *n = 0 }})},
	{"purges held deliveries", "purge/kept purge/per_hook", wrapped(func(s hooks.Store) hooks.Store { return purgesHeld{s} })},

	// Pages.
	{"ignores Offset", "paging/offset", edited(edit{
		hookQuery: func(q *hooks.HookQuery) { q.Offset = 0 },
		logQuery:  func(q *hooks.LogQuery) { q.Offset = 0 },
	})},
	{"counts the page", "paging/total", edited(edit{
		hooksPage:  func(p *hooks.Page[hooks.Hook]) { p.Total = len(p.Items) },
		deliveries: func(p *hooks.Page[hooks.Delivery]) { p.Total = len(p.Items) },
		attempts:   func(p *hooks.Page[hooks.Attempt]) { p.Total = len(p.Items) },
	})},
	{"repeats elements of the same time", "paging/pages paging/ties paging/attempts_of_one", edited(edit{
		hookQuery: func(q *hooks.HookQuery) { repeat(&q.After) },
		logQuery:  func(q *hooks.LogQuery) { repeat(&q.After) },
	})},
	{"has a default limit of its own", "paging/default", edited(edit{
		hookQuery: func(q *hooks.HookQuery) { q.Limit = cmp.Or(q.Limit, 20) },
		logQuery:  func(q *hooks.LogQuery) { q.Limit = cmp.Or(q.Limit, 20) },
	})},
	{"has a page after the last", "paging/pages paging/empty", edited(edit{
		hooksPage:  more[hooks.Hook],
		deliveries: more[hooks.Delivery],
		attempts:   more[hooks.Attempt],
	})},
	{"pages by number", "paging/inserts paging/removed", wrapped(func(s hooks.Store) hooks.Store { return numbered{s} })},

	// Values.
	{"keeps whole seconds", "time/milliseconds", edited(edit{hook: func(h *hooks.Hook) { h.UpdatedAt = h.UpdatedAt.Truncate(time.Second) }})},
	{"takes 1970 for no time", "time/milliseconds", edited(eachEvent(func(e *hooks.Event) {
		if e.Time.UnixMilli() == 0 {
			e.Time = time.Time{}
		}
	}))},
	{"takes no time for 1970", "time/no_time", edited(eachDelivery(func(d *hooks.Delivery) {
		if d.Due.IsZero() {
			d.Due = time.UnixMilli(0).UTC()
		}
	}))},
	{"returns times in another zone", "time/utc", edited(eachAttempt(func(a *hooks.Attempt) { a.StartedAt = a.StartedAt.In(time.FixedZone("", 3600)) }))},
	{"looks at the clock", "time/no_clock", edited(edit{request: func(r *hooks.ClaimRequest) {
		if now := time.Now(); now.Before(r.Now) {
			r.Now = now
		}
	}})},
	{"shares hooks", "values/arguments values/results", wrapped(func(s hooks.Store) hooks.Store { return &sharesHooks{Store: s} })},
	{"trims text", "values/text ordering/apart", edited(eachEnqueued(func(d *hooks.Delivery) { d.OrderingKey = strings.TrimSpace(d.OrderingKey) }))},
	{"refuses empty values", "values/empty", wrapped(func(s hooks.Store) hooks.Store { return needsValues{s} })},

	// Tenants.
	{"ignores the case of tenants", "tenants/names", edited(edit{hook: func(h *hooks.Hook) { h.Tenant = strings.ToLower(h.Tenant) }})},
	{"knows one tenant", "tenants/hooks tenants/events tenants/health tenants/ordering", wrapped(func(s hooks.Store) hooks.Store { return oneTenant{s} })},
	{"shows what others have", "tenants/states", wrapped(func(s hooks.Store) hooks.Store { return talkative{s} })},
	{"reads other tenants' events", "tenants/events events/ids", wrapped(func(s hooks.Store) hooks.Store { return readsEvents{s} })},
	{"reads other tenants' logs", "tenants/logs", wrapped(func(s hooks.Store) hooks.Store { return readsLogs{s} })},

	// Contexts.
	{"ignores contexts", "contexts/cancelled contexts/deadline", edited(edit{ctx: context.WithoutCancel})},
	{"has a context error of its own", "contexts/cancelled contexts/deadline", edited(edit{err: func(err error) error {
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return errors.New("interrupted")
		}
		return err
	}})},
	{"writes although the context has ended", "contexts/meanwhile", wrapped(func(s hooks.Store) hooks.Store { return lateContext{s} })},

	// The harness.
	{"forgets everything at the end of its process", "durability/all durability/leases durability/keys durability/queue copy/durable", func(h *Harness) {
		h.Reopen = func(t testing.TB, _ hooks.Store) hooks.Store { return h.Open(t) }
	}},
	{"forgets everything when the power is lost", "durability/power durability/power_settled durability/power_undone copy/power", func(h *Harness) {
		h.LosePower = func(t testing.TB, _ hooks.Store) hooks.Store { return h.Open(t) }
	}},
	{"keeps what it refused until the end of its process", "durability/refused", func(h *Harness) {
		h.Reopen = func(t testing.TB, s hooks.Store) hooks.Store {
			_ = s.CreateHook(t.Context(), fullHook("refused"), 0)
			return s
		}
	}},
	{"takes the application's transactions for its own", "transactions/rollback", func(h *Harness) {
		h.Begin = func(_ testing.TB, s hooks.Store) (hooks.Tx, func(bool)) { return s, func(bool) {} }
	}},
	{"leaves part of what it refused in the application's transaction", "transactions/duplicate", func(h *Harness) {
		h.Begin = func(_ testing.TB, s hooks.Store) (hooks.Tx, func(bool)) { return oneAfterOther{s}, func(bool) {} }
	}},
	{"never commits for the application", "transactions/commit transactions/commit_key", func(h *Harness) {
		h.Begin = func(_ testing.TB, s hooks.Store) (hooks.Tx, func(bool)) {
			tx := s.(*memory.Store).Begin()
			return tx, func(bool) { _ = tx.Rollback() }
		}
	}},
	{"has no identity", "identity/own", wrapped(func(s hooks.Store) hooks.Store { return named{s, func() string { return "" }} })},
	{"has the identity of all others", "identity/own", wrapped(func(s hooks.Store) hooks.Store { return named{s, func() string { return "x" }} })},
	{"changes its identity", "identity/stays", wrapped(func(s hooks.Store) hooks.Store {
		return named{s, rand.Text}
	})},
	{"has transactions of another identity", "identity/transaction", func(h *Harness) {
		h.Begin = func(_ testing.TB, s hooks.Store) (hooks.Tx, func(bool)) {
			return memory.New(memory.Options{}).Begin(), func(bool) {}
		}
	}},
	{"has another identity in each process", "identity/reopened identity/shared", func(h *Harness) {
		h.Reopen = func(_ testing.TB, s hooks.Store) hooks.Store { return named{s, func() string { return "reopened" }} }
		h.Share = h.Reopen
	}},
	// Copies.
	{"copies no attempts", "copy/whole copy/resumed", copied(eachImported(func(r *store.Record) { r.Attempts = nil }))},
	{"copies no dropped responses", "copy/whole", copied(eachImported(func(r *store.Record) {
		for i := range r.Attempts {
			r.Attempts[i].Response.Dropped = false
		}
	}))},
	{"makes hooks anew", "copy/whole copy/queue", copied(eachImported(func(r *store.Record) {
		if r.Hook != nil {
			h := *r.Hook
			h.Health = hooks.Health{}
			r.Hook = &h
		}
	}))},
	{"copies no events without deliveries", "copy/whole copy/duplicates", copied(copyEdit{exported: func(list []store.Record) []store.Record {
		return slices.DeleteFunc(list, func(r store.Record) bool { return r.Event != nil && r.Deliveries == 0 })
	}})},
	{"exports hooks by their IDs", "copy/export copy/revisions", copied(copyEdit{exported: func(list []store.Record) []store.Record {
		hooksFirst := slices.IndexFunc(list, func(r store.Record) bool { return r.Hook == nil })
		if hooksFirst < 0 {
			hooksFirst = len(list)
		}
		slices.SortFunc(list[:hooksFirst], func(a, b store.Record) int { return cmp.Compare(a.Hook.ID, b.Hook.ID) })
		return list
	}})},
	{"cannot be used while it is exported", "copy/export_stopped", wrapped(func(s hooks.Store) hooks.Store { return &locked{Copyable: s.(store.Copyable)} })},
	{"imports hooks that it has", "copy/again", wrapped(func(s hooks.Store) hooks.Store { return reimports{s.(store.Copyable)} })},
	{"skips deliveries whose event it has", "copy/resumed", wrapped(func(s hooks.Store) hooks.Store { return skipsEvents{s.(store.Copyable)} })},
	{"refuses a record that a call has twice", "copy/twice", wrapped(func(s hooks.Store) hooks.Store { return refusesTwice{s.(store.Copyable)} })},
	{"imports one after the other", "copy/orphan", wrapped(func(s hooks.Store) hooks.Store { return importsOneByOne{s.(store.Copyable)} })},
	{"ignores contexts of copies", "copy/contexts", copied(copyEdit{ctx: context.WithoutCancel})},
	{"does not count what is held", "copy/inventory", copied(copyEdit{inventory: func(i *store.Inventory) { i.Held = 0 }})},
	{"does not sum up tokens", "copy/inventory", copied(copyEdit{inventory: func(i *store.Inventory) { i.Tokens = 0 }})},
	{"imports what is blocked as pending", "copy/ordering", copied(eachImportedDelivery(func(d *hooks.Delivery) {
		if d.State == blocked {
			d.State = pending
		}
	}))},
	{"imports what is held as ended", "copy/ordering copy/whole", copied(eachImportedDelivery(func(d *hooks.Delivery) { d.Held = false }))},
	{"imports tokens as 1", "copy/leases", copied(eachImportedDelivery(func(d *hooks.Delivery) { d.Lease.Token = min(1, d.Lease.Token) }))},
	{"imports leases that have ended", "copy/leases copy/whole", copied(eachImportedDelivery(func(d *hooks.Delivery) {
		if d.State == leased {
			d.Lease.Until = d.CreatedAt
		}
	}))},
	{"imports what ends as if it ended at once", "copy/purge copy/whole", copied(eachImportedDelivery(func(d *hooks.Delivery) {
		if d.State.Ended() {
			d.EndedAt = d.CreatedAt
		}
	}))},

	{"never wakes", "notify/hooks notify/deliveries", wrapped(func(s hooks.Store) hooks.Store { return mute{s} })},
	{"wakes after stop", "notify/listeners", wrapped(func(s hooks.Store) hooks.Store { return insistent{s, s.(hooks.Notifier)} })},

	{"does nothing", "hooks/* events/* queue/lease leases/outcome states/* ordering/* logs/* stats/* purge/* values/* tenants/*", wrapped(func(hooks.Store) hooks.Store { return idle{} })},
}

func firstID(e hooks.Entry) string {
	if len(e.Deliveries) == 0 {
		return ""
	}
	return e.Deliveries[0].ID
}

func repeat(c *hooks.Cursor) {
	if !c.IsZero() {
		c.Time = c.Time.Add(ms)
		c.ID = ""
	}
}

// more gives the last page a next one.
func more[T any](p *hooks.Page[T]) {
	if p.Next.IsZero() {
		p.Next = hooks.Cursor{Time: start.Add(-time.Hour)}
	}
}

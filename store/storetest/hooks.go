package storetest

import (
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

var hookRules = []rule{
	{"create", "CreateHook stores a new hook with the Version that it carries.", func(c *check) {
		h := fullHook("a")
		c.ok(c.CreateHook(c.Context(), h, 0))
		c.equal("hook", c.hooksOf(home), []hooks.Hook{h})
	}},
	{"create_duplicate", "A hook of the same tenant and ID makes CreateHook return ErrDuplicate.", func(c *check) {
		c.create("a")
		before := c.snapshot()
		c.is("CreateHook", c.CreateHook(c.Context(), fullHook("a"), 0), hooks.ErrDuplicate)
		c.unchanged("refused CreateHook", before)
	}},
	{"create_limit", "CreateHook returns ErrTooManyHooks when the tenant has as many hooks as the limit or more, unless the ID is taken; limit 0 is none.", func(c *check) {
		for _, id := range []string{"a", "b"} {
			c.ok(c.CreateHook(c.Context(), fullHook(id), 2))
		}
		before := c.snapshot()
		for _, limit := range []int{1, 2} {
			c.is("CreateHook", c.CreateHook(c.Context(), fullHook("c"), limit), hooks.ErrTooManyHooks)
			c.is("CreateHook with an ID that is taken", c.CreateHook(c.Context(), fullHook("a"), limit), hooks.ErrDuplicate)
			c.unchanged("refused CreateHook", before)
		}
		c.ok(c.CreateHook(c.Context(), plainHook(away, "a"), 1))
		c.ok(c.CreateHook(c.Context(), fullHook("c"), 3))
		c.ok(c.CreateHook(c.Context(), fullHook("d"), 0))
		c.equal("hooks", len(c.hooksOf(home)), 4)
	}},
	{"create_limit_deleted", "A deleted hook does not count for the limit of CreateHook, and neither does one that has nothing but deliveries.", func(c *check) {
		c.enqueue(0, job{n: 1, hook: "x"})
		for range 3 {
			c.ok(c.CreateHook(c.Context(), plainHook(home, "a"), 1))
			c.is("CreateHook", c.CreateHook(c.Context(), plainHook(home, "b"), 1), hooks.ErrTooManyHooks)
			c.ok(c.DeleteHook(c.Context(), hooks.Ref{Tenant: home, ID: "a"}, at(ms)))
		}
	}},
	{"create_again", "A deleted hook's ID is free.", func(c *check) {
		c.create("a")
		c.ok(c.DeleteHook(c.Context(), hooks.Ref{Tenant: home, ID: "a"}, at(ms)))
		h := fullHook("a")
		c.ok(c.CreateHook(c.Context(), h, 0))
		c.equal("hook", c.hooksOf(home), []hooks.Hook{h})
	}},
	{"update", "UpdateHook replaces the hook if the stored Version is h.Version, and stores h.Version+1.", func(c *check) {
		h := plainHook(home, "a")
		h.Version = 7
		c.ok(c.CreateHook(c.Context(), h, 0))
		c.create("b")
		h = fullHook("a")
		c.ok(c.UpdateHook(c.Context(), h))
		h.Version, h.CreatedAt, h.Health = 8, start, hooks.Health{}
		c.equal("hook", c.hook(home, "a"), h)
		c.equal("other hook", c.hook(home, "b"), plainHook(home, "b"))

		h = plainHook(home, "a")
		h.Version = 8
		c.ok(c.UpdateHook(c.Context(), h))
		h.Version = 9
		c.equal("emptied hook", c.hook(home, "a"), h)
	}},
	{"update_missing", "UpdateHook returns ErrNotFound when there is no such hook.", func(c *check) {
		c.create("a", "gone")
		c.ok(c.DeleteHook(c.Context(), hooks.Ref{Tenant: home, ID: "gone"}, start))
		before := c.snapshot()
		c.is("hook that never was", c.UpdateHook(c.Context(), fullHook("b")), hooks.ErrNotFound)
		c.is("deleted hook", c.UpdateHook(c.Context(), plainHook(home, "gone")), hooks.ErrNotFound)
		c.unchanged("refused UpdateHook", before)
	}},
	{"update_version", "UpdateHook returns ErrConflict when the stored Version is another than h.Version.", func(c *check) {
		h := fullHook("a")
		c.ok(c.CreateHook(c.Context(), h, 0))
		before := c.snapshot()
		for _, version := range []int64{0, 6, 8, -7} {
			h.Name, h.Version = "changed", version
			c.is("UpdateHook", c.UpdateHook(c.Context(), h), hooks.ErrConflict)
			c.unchanged("refused UpdateHook", before)
		}
	}},
	{"update_keeps", "UpdateHook leaves CreatedAt and Health as stored.", func(c *check) {
		stored := fullHook("a")
		c.ok(c.CreateHook(c.Context(), stored, 0))
		for _, health := range []hooks.Health{{}, {Failures: 99, FailingSince: at(time.Hour)}} {
			h := stored
			h.CreatedAt, h.Health = at(time.Hour), health
			c.ok(c.UpdateHook(c.Context(), h))
			stored.Version++
			c.equal("hook", c.hook(home, "a"), stored)
		}
	}},
	{"update_enables", "UpdateHook clears Health when Disabled goes from true to false, and only then.", func(c *check) {
		h := fullHook("a")
		health := h.Health
		h.Disabled = false
		c.ok(c.CreateHook(c.Context(), h, 0))
		for _, to := range []bool{false, true, true, false} {
			was := c.hook(home, "a")
			if was.Disabled && !to {
				health = hooks.Health{}
			}
			h = was
			h.Disabled, h.Health = to, fullHook("a").Health
			c.ok(c.UpdateHook(c.Context(), h))
			c.equal("health", c.hook(home, "a").Health, health)
		}
	}},
	{"delete", "DeleteHook removes the hook, or returns ErrNotFound.", func(c *check) {
		c.create("a", "b")
		ref := hooks.Ref{Tenant: home, ID: "a"}
		c.ok(c.DeleteHook(c.Context(), ref, at(ms)))
		c.equal("hooks", c.hooksOf(home), []hooks.Hook{plainHook(home, "b")})
		before := c.snapshot()
		c.is("deleted hook", c.DeleteHook(c.Context(), ref, at(2*ms)), hooks.ErrNotFound)
		c.is("hook that never was", c.DeleteHook(c.Context(), hooks.Ref{Tenant: home, ID: "c"}, at(ms)), hooks.ErrNotFound)
		c.unchanged("refused DeleteHook", before)
	}},
	{"delete_keeps", "The deliveries and attempts of a deleted hook stay.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1}, job{n: 2}, job{n: 3, key: "k"}, job{n: 4, key: "k"})
		c.equal("claimed", c.take(0, 1), []int{1})
		c.end(0, 1, dead)
		before := c.snapshot().Tenants[home]
		c.ok(c.DeleteHook(c.Context(), hooks.Ref{Tenant: home, ID: "a"}, at(ms)))
		before.Hooks = nil
		c.equal("logs", c.snapshot().Tenants[home], before)
	}},
	{"order", "Hooks returns the newest first, or the oldest if asked, by CreatedAt and, of those, by ID.", func(c *check) {
		for _, h := range []struct {
			id      string
			created time.Duration
		}{{"b", ms}, {"d", 0}, {"a", ms}, {"e", ms}, {"c", 2 * ms}} {
			hook := plainHook(home, h.id)
			hook.CreatedAt, hook.UpdatedAt = at(h.created), at(-h.created)
			c.ok(c.CreateHook(c.Context(), hook, 0))
		}
		c.equal("newest first", c.hookIDs(hooks.HookQuery{}), []string{"c", "e", "b", "a", "d"})
		c.equal("oldest first", c.hookIDs(hooks.HookQuery{PageQuery: hooks.PageQuery{OldestFirst: true}}), []string{"d", "a", "b", "e", "c"})
	}},
	{"filters", "Hooks returns the hooks that match the query: IDs, Protocol, Name and Disabled narrow the result.", hookFilters},
}

func hookFilters(c *check) {
	for i, h := range []hooks.Hook{
		{ID: "a", Protocol: "p", Name: "n"},
		{ID: "b", Protocol: "p", Name: "n", Disabled: true},
		{ID: "c", Protocol: "p", Name: "N"},
		{ID: "d", Protocol: "q", Name: "n"},
		{ID: "e"},
	} {
		full := plainHook(home, h.ID)
		full.Protocol, full.Name, full.Disabled = h.Protocol, h.Name, h.Disabled
		full.CreatedAt = at(-time.Duration(i) * ms)
		c.ok(c.CreateHook(c.Context(), full, 0))
	}
	yes, no := true, false
	for _, tc := range []struct {
		name string
		q    hooks.HookQuery
		want []string
	}{
		{"nothing", hooks.HookQuery{}, []string{"a", "b", "c", "d", "e"}},
		{"no IDs", hooks.HookQuery{IDs: []string{}}, []string{"a", "b", "c", "d", "e"}},
		{"IDs", hooks.HookQuery{IDs: []string{"d", "a", "x", "a"}}, []string{"a", "d"}},
		{"unknown ID", hooks.HookQuery{IDs: []string{"x"}}, nil},
		{"Protocol", hooks.HookQuery{Protocol: "p"}, []string{"a", "b", "c"}},
		{"Name", hooks.HookQuery{Name: "n"}, []string{"a", "b", "d"}},
		{"Disabled", hooks.HookQuery{Disabled: &yes}, []string{"b"}},
		{"not Disabled", hooks.HookQuery{Disabled: &no}, []string{"a", "c", "d", "e"}},
		{"all", hooks.HookQuery{IDs: []string{"b", "c", "d", "e"}, Protocol: "p", Name: "n", Disabled: &yes}, []string{"b"}},
		{"contradiction", hooks.HookQuery{IDs: []string{"e"}, Protocol: "p"}, nil},
	} {
		c.equal("by "+tc.name, c.hookIDs(tc.q), tc.want)
	}
}

// hookIDs returns the IDs of the home tenant's hooks that match q.
func (c *check) hookIDs(q hooks.HookQuery) []string {
	c.Helper()
	q.Tenant = home
	page, err := c.Hooks(c.Context(), q)
	c.ok(err)
	ids := make([]string, len(page.Items))
	for i, h := range page.Items {
		ids[i] = h.ID
	}
	return ids
}

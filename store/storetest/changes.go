package storetest

import (
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

var changeRules = []rule{
	{"last", "A hook appears once in HookChanges, with its last change, oldest first, whatever its tenant.", func(c *check) {
		c.create("a", "b", "c")
		c.ok(c.CreateHook(c.Context(), plainHook(away, "a"), 0))
		c.ok(c.UpdateHook(c.Context(), plainHook(home, "a")))
		c.ok(c.DeleteHook(c.Context(), hooks.Ref{Tenant: home, ID: "b"}, at(ms)))
		a := plainHook(home, "a")
		a.Version = 2
		c.equal("changes", c.changed(0), []hooks.HookChange{
			{Hook: plainHook(home, "c")},
			{Hook: plainHook(away, "a")},
			{Hook: a},
			{Hook: hooks.Hook{Tenant: home, ID: "b"}, Deleted: true},
		})
	}},
	{"whole", "A change carries the hook as it is stored, a deletion only its Tenant and ID.", func(c *check) {
		h := fullHook("a")
		c.ok(c.CreateHook(c.Context(), h, 0))
		c.equal("created", c.changed(0), []hooks.HookChange{{Hook: h}})
		h.Description = "another"
		c.ok(c.UpdateHook(c.Context(), h))
		h.Version++
		c.equal("updated", c.changed(0), []hooks.HookChange{{Hook: h}})
		c.ok(c.DeleteHook(c.Context(), h.Ref(), at(ms)))
		c.equal("deleted", c.changed(0), []hooks.HookChange{{Hook: hooks.Hook{Tenant: home, ID: "a"}, Deleted: true}})
	}},
	{"after", "HookChanges returns at most limit changes, those with a revision above after.", func(c *check) {
		c.create("a", "b", "c", "d", "e")
		list := c.changes(0)
		if len(list) != 5 {
			c.Fatalf("got %d changes, want 5", len(list))
		}
		for i, change := range list {
			c.equal("after a revision", c.changes(change.Revision), list[i+1:])
			c.equal("before a revision", c.changes(change.Revision-1), list[i:])
		}
		page, err := c.HookChanges(c.Context(), list[0].Revision, 2)
		c.ok(err)
		c.equal("with limit 2", page, list[1:3])
	}},
	{"revisions", "Each create, update and delete gives the hook a revision above all earlier ones.", func(c *check) {
		last := int64(0)
		rises := func(what string) {
			c.Helper()
			list := c.changes(last)
			if len(list) != 1 {
				c.Fatalf("%s: got %d changes after revision %d, want 1", what, len(list), last)
			}
			if list[0].Revision <= last {
				c.Errorf("%s: revision %d is not above %d", what, list[0].Revision, last)
			}
			last = list[0].Revision
		}
		c.create("a")
		rises("first create")
		c.create("b")
		rises("second create")
		c.ok(c.UpdateHook(c.Context(), plainHook(home, "a")))
		rises("update")
		c.ok(c.DeleteHook(c.Context(), hooks.Ref{Tenant: home, ID: "b"}, at(ms)))
		rises("delete")
		c.create("b")
		rises("create after delete")
		c.ok(c.DeleteHook(c.Context(), hooks.Ref{Tenant: home, ID: "b"}, at(ms)))
		rises("second delete")
		for range 5 {
			_, err := c.Purge(c.Context(), hooks.PurgeRequest{Before: at(time.Hour), Limit: many})
			c.ok(err)
		}
		c.create("c")
		rises("create after Purge")
	}},
	{"again", "A hook that is created again is no longer deleted.", func(c *check) {
		c.create("a")
		c.ok(c.DeleteHook(c.Context(), hooks.Ref{Tenant: home, ID: "a"}, at(ms)))
		c.create("a")
		c.equal("changes", c.changed(0), []hooks.HookChange{{Hook: plainHook(home, "a")}})
	}},
	{"health", "Changes of Health are not changes of the hook: they give it no revision, no Version and no UpdatedAt.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1, leased: time.Minute}, job{n: 2, leased: time.Minute})
		revision := first(c, c.changes(0)).Revision
		want := plainHook(home, "a")
		want.Health = c.end(time.Second, 1, dead)
		c.equal("changes after a failure", c.changes(revision), []hooks.HookChange{})
		c.equal("hook after a failure", c.hook(home, "a"), want)
		c.end(2*time.Second, 2, succeeded)
		c.equal("changes after a success", c.changes(revision), []hooks.HookChange{})
		c.equal("hook after a success", c.hook(home, "a"), plainHook(home, "a"))
	}},
}

// changed returns the changes after a revision without their revisions, which
// it checks to ascend.
func (c *check) changed(after int64) []hooks.HookChange {
	c.Helper()
	list := c.changes(after)
	for i := range list {
		if list[i].Revision <= after {
			c.Errorf("revision %d follows %d", list[i].Revision, after)
		}
		after, list[i].Revision = list[i].Revision, 0
	}
	return list
}

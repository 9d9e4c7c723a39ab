package storetest

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

var pagingRules = []rule{
	{"pages", "Limit is the size of a page; Next leads to the page that follows and is zero on the last.", func(c *check) {
		elements := spread(20)
		c.list(elements)
		for _, l := range listings {
			for _, limit := range []int{1, 2, 3, 7, 19, 20, 21} {
				c.equal(fmt.Sprintf("%s in pages of %d", l.name, limit), c.pages(l, query{}, limit),
					slices.Collect(slices.Chunk(l.order(elements), limit)))
			}
		}
	}},
	{"ties", "Elements of the same time are on one page each.", func(c *check) {
		elements := spread(11)
		for i := range elements {
			elements[i].time = 0
		}
		c.list(elements)
		for _, l := range listings {
			c.equal(l.name+" in pages of 2", c.pages(l, query{}, 2), slices.Collect(slices.Chunk(l.order(elements), 2)))
		}
	}},
	{"default", "The default Limit is 50.", func(c *check) {
		elements := spread(50 + 3)
		c.list(elements)
		for _, l := range listings {
			c.equal(l.name, c.pages(l, query{}, 0), slices.Collect(slices.Chunk(l.order(elements), 50)))
		}
	}},
	{"empty", "A result without elements is one page without Next.", func(c *check) {
		for _, l := range listings {
			ns, next, total := l.read(c, query{PageQuery: hooks.PageQuery{CountTo: 5}})
			c.equal(l.name, []any{ns, next, total}, []any{[]int{}, hooks.Cursor{}, 0})
		}
	}},
	{"inserts", "A cursor is a place in the result: elements that come before it do not move it.", func(c *check) {
		elements := spread(12)
		c.list(elements)
		more := []element{{n: 95, time: 5 * ms}, {n: 90, time: time.Second}, {n: 20, time: 2 * ms}, {n: 91, time: time.Second}, {n: 25, time: 0}}
		next := map[string]hooks.Cursor{}
		for _, l := range listings {
			_, next[l.name], _ = l.read(c, query{PageQuery: hooks.PageQuery{Limit: 5}})
		}
		c.list(more)
		for _, l := range listings {
			last := l.order(elements)[4]
			want := l.order(append(slices.Clone(elements), more...))
			want = want[slices.Index(want, last)+1:]
			c.equal(l.name+" behind the first page", c.pages(l, query{PageQuery: hooks.PageQuery{After: next[l.name]}}, 4),
				slices.Collect(slices.Chunk(want, 4)))
		}
	}},
	{"removed", "A cursor stays valid when the element before it is removed.", func(c *check) {
		elements := spread(12)
		for _, l := range listings {
			i := slices.IndexFunc(elements, func(e element) bool { return e.n == l.order(elements)[4] })
			elements[i].old = true
		}
		c.list(elements)
		next := map[string]hooks.Cursor{}
		for _, l := range listings {
			_, next[l.name], _ = l.read(c, query{PageQuery: hooks.PageQuery{Limit: 5}})
		}
		for _, e := range elements {
			if e.old {
				c.ok(c.DeleteHook(c.Context(), hooks.Ref{Tenant: home, ID: e.hook()}, at(time.Hour)))
			}
		}
		c.purge(-time.Hour, many)
		left := slices.DeleteFunc(slices.Clone(elements), func(e element) bool { return e.old })
		for _, l := range listings {
			order, want := l.order(elements), l.order(left)
			want = slices.DeleteFunc(want, func(n int) bool { return slices.Contains(order[:5], n) })
			ns, _, _ := l.read(c, query{PageQuery: hooks.PageQuery{After: next[l.name]}})
			c.equal(l.name+" behind the first page", ns, want)
		}
	}},
	{"offset", "Offset is how many elements are skipped, behind After if that is given.", func(c *check) {
		elements := spread(12)
		c.list(elements)
		for _, l := range listings {
			want := l.order(elements)
			ns, next, _ := l.read(c, query{PageQuery: hooks.PageQuery{Limit: 3, Offset: 2}})
			c.equal(l.name+" from offset 2", ns, want[2:5])
			ns, next, _ = l.read(c, query{PageQuery: hooks.PageQuery{Limit: 2, After: next}})
			c.equal(l.name+" after that page", ns, want[5:7])
			ns, next, _ = l.read(c, query{PageQuery: hooks.PageQuery{Limit: 3, After: next, Offset: 2}})
			c.equal(l.name+" from offset 2 after that", ns, want[9:])
			c.equal(l.name+", Next of the last page", next, hooks.Cursor{})
			for _, offset := range []int{12, 100, math.MaxInt} {
				ns, next, _ = l.read(c, query{PageQuery: hooks.PageQuery{Offset: offset}})
				c.equal(fmt.Sprintf("%s from offset %d", l.name, offset), []any{ns, next}, []any{[]int{}, hooks.Cursor{}})
			}
		}
	}},
	{"total", "Total is how many elements match without regard to After, Offset and Limit, at most CountTo; it is not counted if that is 0.", func(c *check) {
		c.list(spread(12))
		for _, l := range listings {
			_, after, _ := l.read(c, query{PageQuery: hooks.PageQuery{Limit: 7}})
			for _, tc := range []struct {
				q    query
				want int
			}{
				{query{}, 0},
				{query{PageQuery: hooks.PageQuery{CountTo: 1}}, 1},
				{query{PageQuery: hooks.PageQuery{CountTo: 11}}, 11},
				{query{PageQuery: hooks.PageQuery{CountTo: 12}}, 12},
				{query{PageQuery: hooks.PageQuery{CountTo: many}}, 12},
				{query{PageQuery: hooks.PageQuery{CountTo: many, Limit: 2, After: after, Offset: 3}}, 12},
				{query{PageQuery: hooks.PageQuery{CountTo: 10, Limit: 2, Offset: 50}}, 10},
				{query{even: true, PageQuery: hooks.PageQuery{CountTo: many}}, 6},
				{query{even: true, PageQuery: hooks.PageQuery{CountTo: 5, Limit: 1, After: after}}, 5},
			} {
				_, _, total := l.read(c, tc.q)
				c.equal(fmt.Sprintf("total of %s with %+v", l.name, tc.q), total, tc.want)
			}
		}
	}},
	{"filtered", "Limit, After and Offset count only the elements that match.", func(c *check) {
		elements := spread(20)
		c.list(elements)
		matching := slices.DeleteFunc(slices.Clone(elements), func(e element) bool { return e.n%2 != 0 })
		for _, l := range listings {
			c.equal(l.name+" in pages of 4", c.pages(l, query{even: true}, 4), slices.Collect(slices.Chunk(l.order(matching), 4)))
			ns, _, _ := l.read(c, query{even: true, PageQuery: hooks.PageQuery{Offset: 3, Limit: 2}})
			c.equal(l.name+" from offset 3", ns, l.order(matching)[3:5])
		}
	}},
	{"attempts_of_one", "Attempts of one delivery that started at the same time are paged by their Number.", func(c *check) {
		c.enqueue(0, job{n: 1, leased: time.Hour})
		for range 12 {
			c.attempt(0, 1)
		}
		var got []string
		q := hooks.LogQuery{Tenant: home, PageQuery: hooks.PageQuery{Limit: 5}}
		for range 10 {
			page, err := c.Attempts(c.Context(), q)
			c.ok(err)
			got = append(got, attemptNames(page.Items)...)
			if q.After = page.Next; q.After.IsZero() {
				break
			}
		}
		want := []string{}
		for n := 12; n > 0; n-- {
			want = append(want, fmt.Sprintf("1#%d", n))
		}
		c.equal("attempts", got, want)
	}},
}

// An element is a hook, a delivery and an attempt with one number and one time.
type element struct {
	n    int
	time time.Duration
	old  bool // The delivery was triggered and ended long before the start.
}

func (e element) hook() string { return fmt.Sprintf("h%03d", e.n) }

// spread makes elements out of order, every three of the same time.
func spread(count int) []element {
	elements := make([]element, count)
	for i := range elements {
		n := i * 7 % count
		if count%7 == 0 {
			n = i
		}
		elements[i] = element{n: n, time: time.Duration(n*5%count/3) * ms}
	}
	return elements
}

// list stores the elements.
func (c *check) list(elements []element) {
	c.Helper()
	for _, e := range elements {
		parity := [2]string{"even", "odd"}[e.n%2]
		h := plainHook(home, e.hook())
		h.CreatedAt, h.Protocol = at(e.time), parity
		c.ok(c.CreateHook(c.Context(), h, 0))
		c.enqueue(e.time, job{n: e.n, hook: h.ID, typ: parity, leased: time.Hour})
		ended := time.Second
		if e.old {
			ended = -2 * time.Hour
		}
		c.endWith(ended, outcome(c.delivery(e.n), e.time, succeeded))
	}
}

// A query asks for elements.
type query struct {
	even bool // Only those with an even number.
	hooks.PageQuery
}

// A listing is a method that returns pages.
type listing struct {
	name string
	// order returns the numbers of the elements in the method's order.
	order func([]element) []int
	// read reads a page of numbers.
	read func(*check, query) (ns []int, next hooks.Cursor, total int)
}

var listings = slices.Concat(
	bothWays("hooks", (*check).readHooks),
	bothWays("deliveries", func(c *check, q query) ([]int, hooks.Cursor, int) {
		return readPage(c, c.Deliveries, q.log(), func(d hooks.Delivery) int { return number(d.ID) })
	}),
	bothWays("attempts", func(c *check, q query) ([]int, hooks.Cursor, int) {
		return readPage(c, c.Attempts, q.log(), func(a hooks.Attempt) int { return number(a.DeliveryID) })
	}),
)

// bothWays is a method's listings, the latest first and the oldest first.
func bothWays(name string, read func(*check, query) ([]int, hooks.Cursor, int)) []listing {
	return []listing{
		{name, latestFirst, read},
		{name + ", oldest first", func(elements []element) []int {
			ns := latestFirst(elements)
			slices.Reverse(ns)
			return ns
		}, func(c *check, q query) ([]int, hooks.Cursor, int) {
			q.OldestFirst = true
			return read(c, q)
		}},
	}
}

func latestFirst(elements []element) []int {
	elements = slices.SortedFunc(slices.Values(elements), func(a, b element) int {
		return cmp.Or(cmp.Compare(b.time, a.time), cmp.Compare(b.n, a.n))
	})
	ns := make([]int, len(elements))
	for i, e := range elements {
		ns[i] = e.n
	}
	return ns
}

func (c *check) readHooks(q query) ([]int, hooks.Cursor, int) {
	c.Helper()
	hq := hooks.HookQuery{Tenant: home, PageQuery: q.PageQuery}
	if q.even {
		hq.Protocol = "even"
	}
	return readPage(c, c.Hooks, hq, func(h hooks.Hook) int {
		n, _ := strconv.Atoi(h.ID[1:])
		return n
	})
}

func (q query) log() hooks.LogQuery {
	lq := hooks.LogQuery{Tenant: home, PageQuery: q.PageQuery}
	if q.even {
		lq.EventType = "even"
	}
	return lq
}

// readPage reads a page and numbers its items.
func readPage[Q, T any](c *check, read func(context.Context, Q) (hooks.Page[T], error), q Q, number func(T) int) ([]int, hooks.Cursor, int) {
	c.Helper()
	page, err := read(c.Context(), q)
	c.ok(err)
	ns := make([]int, len(page.Items))
	for i, item := range page.Items {
		ns[i] = number(item)
	}
	return ns, page.Next, page.Total
}

// pages reads page by page to the end. As applications do, it passes the cursors on
// as text.
func (c *check) pages(l listing, q query, limit int) [][]int {
	c.Helper()
	var list [][]int
	q.Limit = limit
	for range 100 {
		ns, next, _ := l.read(c, q)
		list = append(list, ns)
		if next.IsZero() {
			return list
		}
		text, err := next.MarshalText()
		c.ok(err)
		c.ok(q.After.UnmarshalText(text))
	}
	c.Fatalf("%s: no end after 100 pages", l.name)
	return nil
}

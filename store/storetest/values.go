package storetest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// documents are JSON that changes when it is read and written again.
var documents = []string{
	`{}`, `[]`, `null`, `0`, `""`, ` true `,
	"\t{ \"b\" : 1 ,\r\n\"a\":2}\n",
	`{"a":1,"a":2,"":{"a":[]}}`,
	`[1.0,1e400,-0,12345678901234567890.10,1E+2,0.1e-7]`,
	`"\u0000\u0041\/\ud83e\uddff\b"`,
	`"\ud800 <&> ` + "\u2028 \x7f \xf0\x9f\xa7\xbf é e\u0301" + `"`,
}

var valueRules = []rule{
	{"data", "Data of an event is kept byte for byte.", func(c *check) {
		c.create("a")
		list := slices.Concat(documents, []string{
			strings.Repeat(`[`, 1000) + strings.Repeat(`]`, 1000),
			`"` + strings.Repeat("0123456789abcdef", 1<<14) + `"`,
		})
		for n, document := range list {
			event := &hooks.Event{ID: eventID(n), Tenant: home, Type: "t", Time: start, Data: json.RawMessage(document)}
			c.ok(c.Enqueue(c.Context(), start, []hooks.Entry{entry(0, event, job{n: n})}))
			c.equal("data read", first(c, c.events(home, eventID(n))).Data, json.RawMessage(document))
			claimed := c.claim(0, many)
			c.equal("claimed", numbers(claimed), []int{n})
			for _, cl := range claimed {
				c.equal("data claimed", cl.Event.Data, json.RawMessage(document))
			}
		}
	}},
	{"settings", "Settings of a hook are kept byte for byte.", func(c *check) {
		c.create("a")
		for i, document := range documents {
			h := plainHook(home, "a")
			h.Settings, h.Version = json.RawMessage(document), int64(i+1)
			c.ok(c.UpdateHook(c.Context(), h))
			c.equal("settings", c.hook(home, "a").Settings, h.Settings)
			h.ID, h.Version = "b", int64(i)
			c.ok(c.CreateHook(c.Context(), h, 0))
			c.equal("settings of a new hook", c.hook(home, "b").Settings, h.Settings)
			c.ok(c.DeleteHook(c.Context(), h.Ref(), start))
		}
	}},
	{"attempt", "An attempt is kept as it is, with every byte of the response.", func(c *check) {
		c.enqueue(0, job{n: 1, leased: time.Minute})
		body := bytes.Repeat([]byte{0, 0xff, '"', '\n'}, 4<<10)
		s := retry(c.delivery(1))
		s.Attempt.Response.Body, s.Attempt.Response.Truncated = bytes.Clone(body), false
		c.endWith(ms, s)
		want := fullAttempt(c.delivery(1))
		want.Response.Body, want.Response.Truncated = body, false
		c.equal("attempts", c.attempts(home), []hooks.Attempt{*want})
	}},
	{"text", "Text is kept exactly.", func(c *check) {
		c.create("a")
		for n, text := range []string{" ", " two  blanks ", "a\tb\r\nc", `%s ? $1 :a \0 ' " ; --`, "é e\u0301 ☃ 🪝 \u2028\ufeff", strings.Repeat("☃", 80)} {
			event := hooks.Event{ID: eventID(n), Tenant: home, Type: "t", Time: start, OrderingKey: text, Metadata: map[string]string{text: text}}
			stored := event
			c.ok(c.Enqueue(c.Context(), start, []hooks.Entry{entry(0, &stored, job{n: n})}))
			c.equal("event", c.events(home, eventID(n)), []hooks.Event{event})
			c.equal("delivery", c.delivery(n), job{n: n, typ: "t", key: text}.delivery(0))
			c.equal("claimed", c.take(0, many), []int{n})
			s := outcome(c.delivery(n), ms, dead)
			s.Reason, s.Attempt.Error = text, text
			c.endWith(ms, s)
			c.equal("reason", c.delivery(n).Reason, text)
			c.equal("error", first(c, c.attempts(home)).Error, text)
			_, err := c.Redeliver(c.Context(), at(ms), home, id(n))
			c.ok(err)
			d, err := c.Cancel(c.Context(), at(2*ms), home, id(n), text)
			c.ok(err)
			c.equal("reason of a cancellation", d.Reason, text)
		}
	}},
	{"empty", "A nil and an empty slice or map are the same.", func(c *check) {
		h := plainHook(home, "a")
		h.Headers, h.Metadata = map[string]string{}, map[string]string{}
		h.Secrets, h.Schedule, h.Settings = []hooks.SigningSecret{}, []time.Duration{}, json.RawMessage{}
		h.Sealed = []byte{}
		c.ok(c.CreateHook(c.Context(), h, 0))
		c.equal("hook", c.hooksOf(home), []hooks.Hook{plainHook(home, "a")})
		c.ok(c.UpdateHook(c.Context(), h))
		event := &hooks.Event{ID: "x", Tenant: home, Type: "t", Time: start, Data: json.RawMessage{}, Metadata: map[string]string{}}
		c.ok(c.Enqueue(c.Context(), start, []hooks.Entry{{Event: event, Deliveries: []hooks.Delivery{}}}))
		c.equal("event", c.events(home, "x"), []hooks.Event{{ID: "x", Tenant: home, Type: "t", Time: start}})
		c.ok(c.Enqueue(c.Context(), start, []hooks.Entry{}))
		c.enqueue(0, job{n: 1, leased: time.Minute})
		s := outcome(c.delivery(1), 0, dead)
		want := *s.Attempt
		s.Attempt.Request.Header, s.Attempt.Response.Header, s.Attempt.Response.Body = http.Header{}, http.Header{}, []byte{}
		c.endWith(0, s)
		c.equal("attempts", c.attempts(home), []hooks.Attempt{want})
	}},
	{"arguments", "Arguments are not shared with later calls.", func(c *check) {
		h := fullHook("a")
		c.ok(c.CreateHook(c.Context(), h, 0))
		spoil(&h)
		c.equal("created hook", c.hook(home, "a"), fullHook("a"))
		h = fullHook("a")
		c.ok(c.UpdateHook(c.Context(), h))
		spoil(&h)
		want := fullHook("a")
		want.Version++
		c.equal("updated hook", c.hook(home, "a"), want)

		list := entries(0, job{n: 1, leased: time.Minute})
		c.ok(c.Enqueue(c.Context(), start, list))
		spoil(&list[0].Deliveries)
		list[0] = hooks.Entry{}
		c.equal("deliveries", c.deliveries(home), []hooks.Delivery{job{n: 1, leased: time.Minute}.delivery(0)})

		s := []hooks.Settlement{retry(c.delivery(1))}
		_, err := c.Settle(c.Context(), at(ms), s)
		c.ok(err)
		s[0] = hooks.Settlement{}
		c.equal("attempts", c.attempts(home), []hooks.Attempt{*fullAttempt(c.delivery(1))})
	}},
	{"results", "Results are not shared with later calls.", func(c *check) {
		c.ok(c.CreateHook(c.Context(), fullHook("a"), 0))
		page, err := c.Hooks(c.Context(), hooks.HookQuery{Tenant: home})
		c.ok(err)
		spoil(&page)
		c.equal("hook", c.hook(home, "a"), fullHook("a"))
		changes := c.changes(0)
		revision := first(c, changes).Revision
		spoil(&changes)
		c.equal("changes", c.changes(0), []hooks.HookChange{{Revision: revision, Hook: fullHook("a")}})

		x := entry(0, fullEvent("x"), job{n: 1, leased: time.Minute})
		d := x.Deliveries[0]
		c.ok(c.Enqueue(c.Context(), start, []hooks.Entry{x}))
		events := c.events(home, "x")
		spoil(&events)
		c.equal("events", c.events(home, "x"), []hooks.Event{*fullEvent("x")})
		deliveries := c.deliveries(home)
		spoil(&deliveries)
		c.equal("deliveries", c.deliveries(home), []hooks.Delivery{d})

		c.endWith(ms, retry(d))
		attempts := c.attempts(home)
		clear(attempts) // What they refer to may be shared.
		c.equal("attempts", c.attempts(home), []hooks.Attempt{*fullAttempt(d)})
		stats := c.stats(0, time.Hour, "a")
		clear(stats)
		c.equal("stats", c.stats(0, time.Hour, "a")["a"].LastErrorAt, fullAttempt(d).StartedAt)
	}},
}

// spoil overwrites what can be reached from the value that p points to through
// slices and maps.
func spoil(p any) { spoilValue(reflect.ValueOf(p).Elem()) }

func spoilValue(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			spoilValue(v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			spoilValue(v.Index(i))
			v.Index(i).SetZero()
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			spoilValue(v.MapIndex(key))
			v.SetMapIndex(key, reflect.Zero(v.Type().Elem()))
		}
	}
}

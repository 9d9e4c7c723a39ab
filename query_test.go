package hooks_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
)

func TestQueriesAreRefused(t *testing.T) {
	h, spy := strictHarness(t)
	h.register(hooks.Hook{URL: "https://example.com/", Events: []string{"*"}})
	h.trigger(hooks.Event{Type: "a"})
	d := h.deliveries(hooks.LogQuery{})[0]
	_, err := h.Cancel(t.Context(), "", d.ID)
	require.NoError(t, err)
	for field, page := range map[string]hooks.PageQuery{
		"limit": {Limit: -1}, "offset": {Offset: -1}, "countTo": {CountTo: -1}, " offset": {Offset: hooks.MaxCount + 1}, " countTo": {CountTo: hooks.MaxCount + 1},
	} {
		field = strings.TrimSpace(field)
		writes := spy.writes()
		_, err := h.Hooks(t.Context(), hooks.HookQuery{PageQuery: page})
		refused(t, err, field, "must be 0 to")
		listed := 0
		for _, err := range h.AllHooks(t.Context(), hooks.HookQuery{PageQuery: page}) {
			refused(t, err, field, "must be 0 to")
			listed++
		}
		assert.Equal(t, 1, listed)
		q := hooks.LogQuery{PageQuery: page}
		_, err = h.Deliveries(t.Context(), q)
		refused(t, err, field, "must be 0 to")
		_, err = h.Logs(t.Context(), q)
		refused(t, err, field, "must be 0 to")
		n, err := h.Replay(t.Context(), q)
		refused(t, err, field, "must be 0 to")
		assert.Zero(t, n)
		for _, err := range h.AllDeliveries(t.Context(), q) {
			refused(t, err, field, "must be 0 to")
			n++
		}
		for _, err := range h.AllLogs(t.Context(), q) {
			refused(t, err, field, "must be 0 to")
			n++
		}
		assert.Equal(t, 2, n)
		assert.Equal(t, writes, spy.writes(), "something was sent again")
	}
}

func TestCursorsAreRefused(t *testing.T) {
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	good, err := hooks.Cursor{Time: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC), ID: "a b"}.MarshalText()
	require.NoError(t, err)
	for name, text := range map[string]string{
		"not base64":         "???",
		"padded":             string(good) + "=",
		"broken off":         string(good[:len(good)/2]),
		"with a line feed":   string(good[:8]) + "\n" + string(good[8:]),
		"no time":            encode("yesterday abc"),
		"no ID":              encode("2026-01-02T03:04:05Z"),
		"not in UTC":         encode("2026-01-02T03:04:05+01:00 abc"),
		"other zeros":        encode("2026-01-02T03:04:05.000Z abc"),
		"a comma for a dot":  encode("2026-01-02T03:04:05,5Z abc"),
		"nothing in it":      encode(" "),
		"trailing bits of 1": "MjAyNi0wMS0wMlQwMzowNDowNVogYWJ", // the last character encodes 4 bits too many
	} {
		c := hooks.Cursor{ID: "before"}
		err := c.UnmarshalText([]byte(text))
		if assert.Error(t, err, name) {
			refused(t, err, "cursor", "is not one that a page returned")
		}
	}
	var c hooks.Cursor
	require.NoError(t, c.UnmarshalText(good))
	assert.Equal(t, hooks.Cursor{Time: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC), ID: "a b"}, c)
	require.NoError(t, c.UnmarshalText(nil))
	assert.True(t, c.IsZero())
}

func FuzzCursor(f *testing.F) {
	for _, c := range []hooks.Cursor{{}, {Time: time.Unix(1e9, 1e6).UTC(), ID: "0196f0a0-0000-7000-8000-000000000000"}, {ID: "é \n"}} {
		text, err := c.MarshalText()
		require.NoError(f, err)
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var c hooks.Cursor
		if err := c.UnmarshalText(text); err != nil {
			refused(t, err, "cursor", "is not one that a page returned")
			return
		}
		back, err := c.MarshalText()
		require.NoError(t, err)
		assert.Equal(t, string(text), string(back), "a text that no cursor has")
	})
}

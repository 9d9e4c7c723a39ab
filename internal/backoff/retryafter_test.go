package backoff_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-2c6e3a5a/hooks/internal/backoff"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(1994, 11, 6, 8, 49, 30, 0, time.UTC)
	tests := map[string]struct {
		value string
		want  time.Duration
		ok    bool
	}{
		"seconds":            {"120", 2 * time.Minute, true},
		"zero":               {"0", 0, true},
		"zeros":              {"000", 0, true},
		"spaces":             {" 7 ", 7 * time.Second, true},
		"a day":              {"86400", 24 * time.Hour, true},
		"more than a day":    {"86401", 24 * time.Hour, true},
		"overflows Duration": {"9223372037", 24 * time.Hour, true},
		"overflows int64":    {"99999999999999999999999", 24 * time.Hour, true},
		"negative":           {"-5", 0, true},
		"very negative":      {"-99999999999999999999999", 0, true},

		"IMF-fixdate":      {"Sun, 06 Nov 1994 08:49:37 GMT", 7 * time.Second, true},
		"RFC 850 date":     {"Sunday, 06-Nov-94 08:49:37 GMT", 7 * time.Second, true},
		"asctime date":     {"Sun Nov  6 08:49:37 1994", 7 * time.Second, true},
		"date in the past": {"Sun, 06 Nov 1994 08:49:29 GMT", 0, true},
		"date long past":   {"Thu, 01 Jan 1970 00:00:00 GMT", 0, true},
		"date far ahead":   {"Fri, 31 Dec 9999 23:59:59 GMT", 24 * time.Hour, true},

		"empty":         {"", 0, false},
		"word":          {"soon", 0, false},
		"fraction":      {"1.5", 0, false},
		"exponent":      {"1e3", 0, false},
		"plus":          {"+5", 0, false},
		"minus alone":   {"-", 0, false},
		"two minuses":   {"--5", 0, false},
		"hexadecimal":   {"0x10", 0, false},
		"other digits":  {"٣", 0, false},
		"unit":          {"10s", 0, false},
		"list":          {"5, 10", 0, false},
		"RFC 3339 date": {"1994-11-06T08:49:37Z", 0, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, ok := backoff.RetryAfter(tt.value, now)
			if got != tt.want || ok != tt.ok {
				t.Errorf("%q: got %v, %v, want %v, %v", tt.value, got, ok, tt.want, tt.ok)
			}
		})
	}
}

func TestRetryAfterRoundsUp(t *testing.T) {
	now := time.Date(1994, 11, 6, 8, 49, 35, 1, time.UTC)
	if got, _ := backoff.RetryAfter("Sun, 06 Nov 1994 08:49:37 GMT", now); got != 2*time.Second {
		t.Errorf("got %v, want 2s", got)
	}
}

func TestRetryAfterIsNeverEarly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(0, rapid.Int64Range(0, 4e18).Draw(t, "now"))
		asked := time.Duration(rapid.Int64Range(-1e14, int64(backoff.MaxRetryAfter)).Draw(t, "asked"))
		at := now.Add(asked).Truncate(time.Second)
		value := at.UTC().Format(rapid.SampledFrom([]string{http.TimeFormat, time.ANSIC}).Draw(t, "layout"))
		wait, ok := backoff.RetryAfter(value, now)
		if !ok || wait < 0 || now.Add(wait).Before(at) || at.After(now) && wait-at.Sub(now) >= time.Second {
			t.Fatalf("now %v, asked for %v (%q): got %v, %v", now, at, value, wait, ok)
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	for _, value := range []string{"120", "-1", "99999999999999999999", "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "1e3"} {
		f.Add(value, int64(784111770), int64(1))
	}
	f.Fuzz(func(t *testing.T, value string, seconds, nanos int64) {
		now := time.Unix(seconds%1e10, nanos%1e9)
		wait, ok := backoff.RetryAfter(value, now)
		if wait < 0 || wait > backoff.MaxRetryAfter || !ok && wait != 0 {
			t.Fatalf("%q: got %v, %v", value, wait, ok)
		}
		if asked, err := strconv.Atoi(value); ok && err == nil && wait < time.Duration(min(max(asked, 0), 86400))*time.Second {
			t.Fatalf("%q: %v is early", value, wait)
		}
		if at, err := http.ParseTime(value); ok && err == nil && now.Add(wait).Before(at) && wait < backoff.MaxRetryAfter {
			t.Fatalf("%q at %v: %v is early", value, now, wait)
		}
	})
}

package hooks

import (
	"math"
	"net/http"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDefaultSchedule(t *testing.T) {
	if len(defaultSchedule) != 10 || defaultSchedule[0] != 0 {
		t.Fatalf("got %v, want ten attempts, the first at once", defaultSchedule)
	}
	var total time.Duration
	for i, delay := range defaultSchedule {
		if i > 0 && delay <= defaultSchedule[i-1] {
			t.Errorf("delay %d is not longer than the one before: %v", i, delay)
		}
		total += delay
	}
	if want := 75*time.Hour + 35*time.Minute + 5*time.Second; total != want {
		t.Errorf("the attempts span %v, want %v", total, want)
	}
}

func TestJittered(t *testing.T) {
	for _, c := range []struct {
		delay, jitter time.Duration
		share         float64
		want          time.Duration
	}{
		{0, 0, 0.5, 0},
		{time.Hour, 0, 0, time.Hour},
		{time.Hour, 0, 0.5, time.Hour + 6*time.Minute},
		{time.Hour, time.Minute, 0.5, time.Hour + 6*time.Minute},
		{0, time.Second, 0.5, 500 * time.Millisecond},
		{time.Second, time.Second, 0.25, 1250 * time.Millisecond},
	} {
		if got := jittered(c.delay, c.jitter, c.share); got != c.want {
			t.Errorf("%v with a jitter of %v became %v, want %v", c.delay, c.jitter, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		delay := time.Duration(rapid.Int64Range(0, int64(7*24*time.Hour)).Draw(t, "delay"))
		jitter := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "jitter"))
		share := rapid.Float64Range(0, 1).Draw(t, "share")
		if got := jittered(delay, jitter, share); got < delay || got > delay+max(delay/5, jitter) {
			t.Fatalf("%v became %v with a jitter of %v", delay, got, jitter)
		}
	})
}

func TestParseRetryAfter(t *testing.T) {
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
			got, ok := Response{Header: http.Header{"Retry-After": {tt.value}}}.RetryAfter(now)
			if got != tt.want || ok != tt.ok {
				t.Errorf("%q: got %v, %v, want %v, %v", tt.value, got, ok, tt.want, tt.ok)
			}
		})
	}
	if got, ok := (Response{}).RetryAfter(now); ok {
		t.Errorf("no header: got %v", got)
	}
}

func TestParseRetryAfterRoundsUp(t *testing.T) {
	header := http.Header{"Retry-After": {"Sun, 06 Nov 1994 08:49:37 GMT"}}
	now := time.Date(1994, 11, 6, 8, 49, 35, 1, time.UTC)
	if got, _ := (Response{Header: header}).RetryAfter(now); got != 2*time.Second {
		t.Errorf("got %v, want 2s", got)
	}
}

func TestThrottleFor(t *testing.T) {
	tests := map[int]time.Duration{
		-1: time.Second, 0: time.Second, 1: 2 * time.Second, 2: 4 * time.Second, 5: 32 * time.Second,
		6: time.Minute, 7: time.Minute, 63: time.Minute, 64: time.Minute, math.MaxInt: time.Minute,
	}
	for failures, want := range tests {
		if got := throttleFor(failures); got != want {
			t.Errorf("%d failures: got %v, want %v", failures, got, want)
		}
	}
}

func TestRetryAfterIsNeverEarly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(0, rapid.Int64Range(0, 4e18).Draw(t, "now"))
		asked := time.Duration(rapid.Int64Range(-1e14, int64(maxRetryAfter)).Draw(t, "asked"))
		at := now.Add(asked).Truncate(time.Second)
		value := at.UTC().Format(rapid.SampledFrom([]string{http.TimeFormat, time.ANSIC}).Draw(t, "layout"))
		wait, ok := Response{Header: http.Header{"Retry-After": {value}}}.RetryAfter(now)
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
		wait, ok := Response{Header: http.Header{"Retry-After": {value}}}.RetryAfter(now)
		if wait < 0 || wait > maxRetryAfter || !ok && wait != 0 {
			t.Fatalf("%q: got %v, %v", value, wait, ok)
		}
		if asked, err := strconv.Atoi(value); ok && err == nil && wait < time.Duration(min(max(asked, 0), 86400))*time.Second {
			t.Fatalf("%q: %v is early", value, wait)
		}
		if at, err := http.ParseTime(value); ok && err == nil && now.Add(wait).Before(at) && wait < maxRetryAfter {
			t.Fatalf("%q at %v: %v is early", value, now, wait)
		}
	})
}

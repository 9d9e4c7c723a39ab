package backoff_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-2c6e3a5a/hooks/internal/backoff"
)

func TestDefaultSchedule(t *testing.T) {
	schedule := backoff.DefaultSchedule()
	if len(schedule) != 10 || schedule[0] != 0 {
		t.Fatalf("got %v, want ten attempts, the first at once", schedule)
	}
	var total time.Duration
	for i, delay := range schedule {
		if i > 0 && delay <= schedule[i-1] {
			t.Errorf("delay %d is not longer than the one before: %v", i, delay)
		}
		total += delay
	}
	if want := 75*time.Hour + 35*time.Minute + 5*time.Second; total != want {
		t.Errorf("the attempts span %v, want %v", total, want)
	}
}

func TestJitter(t *testing.T) {
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
		if got := backoff.Jitter(c.delay, c.jitter, c.share); got != c.want {
			t.Errorf("%v with a jitter of %v became %v, want %v", c.delay, c.jitter, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		delay := time.Duration(rapid.Int64Range(0, int64(7*24*time.Hour)).Draw(t, "delay"))
		jitter := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "jitter"))
		share := rapid.Float64Range(0, 1).Draw(t, "share")
		if got := backoff.Jitter(delay, jitter, share); got < delay || got > delay+max(delay/5, jitter) {
			t.Fatalf("%v became %v with a jitter of %v", delay, got, jitter)
		}
	})
}

func TestBound(t *testing.T) {
	const ms, s, m = time.Millisecond, time.Second, time.Minute
	for name, tt := range map[string]struct{ schedule, want []time.Duration }{
		"empty":                {nil, nil},
		"quick retries":        {[]time.Duration{0, 0, 0}, []time.Duration{0, 0, 0}},
		"one more":             {[]time.Duration{0, 0, 0, 0}, []time.Duration{0, 0, 0, s}},
		"many":                 {make([]time.Duration, 12), []time.Duration{0, 0, 0, s, 2 * s, 4 * s, 8 * s, 16 * s, 32 * s, m, m, m}},
		"long enough":          {[]time.Duration{0, 0, 0, s, s, s}, []time.Duration{0, 0, 0, s, s, s}},
		"some are long enough": {[]time.Duration{0, 0, 0, 999 * ms, 5 * s, 0, s, 0}, []time.Duration{0, 0, 0, s, 5 * s, 2 * s, s, 4 * s}},
	} {
		given := slices.Clone(tt.schedule)
		if got := backoff.Bound(tt.schedule); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
		if !slices.Equal(tt.schedule, given) {
			t.Errorf("%s: the schedule was changed to %v", name, tt.schedule)
		}
	}
}

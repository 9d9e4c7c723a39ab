package backoff_test

import (
	"math"
	"testing"
	"time"

	"github.com/seed-2c6e3a5a/hooks/internal/backoff"
)

func TestExponential(t *testing.T) {
	for _, tt := range []struct {
		first, most time.Duration
		want        []time.Duration // after 0, 1, 2 ... failures; the last also after any more
	}{
		{1, 7, []time.Duration{1, 2, 4, 7}},
		{1, 8, []time.Duration{1, 2, 4, 8}},
		{3, 3, []time.Duration{3}},
		{5, 3, []time.Duration{3}},
		{math.MaxInt64/2 + 1, math.MaxInt64, []time.Duration{math.MaxInt64/2 + 1, math.MaxInt64}},
		{math.MaxInt64 / 2, math.MaxInt64, []time.Duration{math.MaxInt64 / 2, math.MaxInt64 - 1, math.MaxInt64}},
		{50 * time.Millisecond, 5 * time.Second, []time.Duration{
			50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond,
			1600 * time.Millisecond, 3200 * time.Millisecond, 5 * time.Second,
		}},
	} {
		e := backoff.Exponential{First: tt.first, Max: tt.most}
		for failures, want := range tt.want {
			if got := e.Delay(failures); got != want {
				t.Errorf("%+v after %d failures: got %v, want %v", e, failures, got, want)
			}
		}
		if got := e.Delay(-1); got != tt.want[0] {
			t.Errorf("%+v after -1 failures: got %v", e, got)
		}
		for _, failures := range []int{len(tt.want), 63, 64, math.MaxInt} {
			if got, want := e.Delay(failures), tt.want[len(tt.want)-1]; got != want {
				t.Errorf("%+v after %d failures: got %v, want %v", e, failures, got, want)
			}
		}
	}
}

func TestThrottle(t *testing.T) {
	tests := map[int]time.Duration{
		-1: time.Second, 0: time.Second, 1: 2 * time.Second, 2: 4 * time.Second, 5: 32 * time.Second,
		6: time.Minute, 7: time.Minute, 63: time.Minute, 64: time.Minute, math.MaxInt: time.Minute,
	}
	for failures, want := range tests {
		if got := backoff.Throttle(failures); got != want {
			t.Errorf("%d failures: got %v, want %v", failures, got, want)
		}
	}
}

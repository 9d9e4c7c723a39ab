package hooks

import (
	"fmt"
	"testing"
	"time"
)

func TestRateLog(t *testing.T) {
	l := newRateLog(reportBurst, reportInterval)
	now := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range 30 {
		if leftOut, ok := l.allow("a", now); ok != (i < 10) || leftOut != 0 {
			t.Errorf("call %d: got %d, %v", i, leftOut, ok)
		}
	}
	for _, after := range []time.Duration{reportInterval, 2 * reportInterval} {
		want := 20
		if after > reportInterval {
			want = 1 // of this loop
		}
		if leftOut, ok := l.allow("a", now.Add(after)); !ok || leftOut != want {
			t.Errorf("after %v: got %d, %v", after, leftOut, ok)
		}
		if _, ok := l.allow("a", now.Add(after)); ok {
			t.Errorf("after %v: twice", after)
		}
	}
}

// Any number of tenants need little memory and make few lines.
func TestRateLogIsBounded(t *testing.T) {
	l := newRateLog(reportBurst, reportInterval)
	now := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	logged := 0
	for i := range 20 * maxReported {
		if _, ok := l.allow(fmt.Sprint(i), now); ok {
			logged++
		}
	}
	if logged != maxReported+reportBurst || len(l.keys) != maxReported {
		t.Errorf("%d were logged, %d tenants are remembered", logged, len(l.keys))
	}
	now = now.Add(time.Hour)
	if _, ok := l.allow("new", now); !ok || len(l.keys) != 1 {
		t.Errorf("%d tenants are remembered for long", len(l.keys))
	}
}

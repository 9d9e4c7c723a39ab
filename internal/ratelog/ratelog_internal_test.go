package ratelog

import (
	"fmt"
	"testing"
	"time"
)

const (
	burst    = 10
	interval = 10 * time.Second
)

func TestLimiter(t *testing.T) {
	l := New(burst, interval)
	now := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range 30 {
		if leftOut, ok := l.Allow("a", now); ok != (i < 10) || leftOut != 0 {
			t.Errorf("call %d: got %d, %v", i, leftOut, ok)
		}
	}
	for _, after := range []time.Duration{interval, 2 * interval} {
		want := 20
		if after > interval {
			want = 1 // of this loop
		}
		if leftOut, ok := l.Allow("a", now.Add(after)); !ok || leftOut != want {
			t.Errorf("after %v: got %d, %v", after, leftOut, ok)
		}
		if _, ok := l.Allow("a", now.Add(after)); ok {
			t.Errorf("after %v: twice", after)
		}
	}
}

// Any number of tenants need little memory and make few lines.
func TestALimiterIsBounded(t *testing.T) {
	l := New(burst, interval)
	now := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	logged := 0
	for i := range 20 * maxKeys {
		if _, ok := l.Allow(fmt.Sprint(i), now); ok {
			logged++
		}
	}
	if logged != maxKeys+burst || len(l.keys) != maxKeys {
		t.Errorf("%d were logged, %d tenants are remembered", logged, len(l.keys))
	}
	now = now.Add(time.Hour)
	if _, ok := l.Allow("new", now); !ok || len(l.keys) != 1 {
		t.Errorf("%d tenants are remembered for long", len(l.keys))
	}
}

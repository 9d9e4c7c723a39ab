package hooks

import (
	"context"
	"time"
)

// now returns the time as stores keep it.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// stamp returns t as stores keep it.
func stamp(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Millisecond)
}

// roundUp returns t as stores keep it, not earlier than t.
func roundUp(t time.Time) time.Time { return stamp(t.Add(time.Millisecond - 1)) }

const yearRule = "must be in the years 1 to 9999"

func validYear(t time.Time) bool { return t.UTC().Year() >= 1 && t.UTC().Year() <= 9999 }

// sleep waits for d or for the end of ctx, and reports whether d has passed.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

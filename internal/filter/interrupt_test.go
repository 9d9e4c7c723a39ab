package filter_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed-2c6e3a5a/hooks/internal/filter"
)

// endsAfter is a context that ends when it has been asked so many times.
type endsAfter struct {
	context.Context
	left int
}

func (c *endsAfter) Err() error {
	if c.left--; c.left < 0 {
		return context.DeadlineExceeded
	}
	return nil
}

// Everything that can take long looks at the context as it goes: the first
// number is how often at least, for the data.
func TestFilterIsInterrupted(t *testing.T) {
	long := `"` + strings.Repeat("ab ", 30_000) + `"`
	list := "[" + strings.Repeat("1,", 30_000) + "1]"
	tests := []struct {
		filter, data string
		looks        int
	}{
		{`any(data, # > 1)`, list, 1800},
		{`all(data, # == 1)`, list, 1800},
		{`none(data, # > 1)`, list, 1800},
		{`one(data, # > 1)`, list, 1800},
		{`count(data, # > 1) > 0`, list, 1800},
		{`sum(data, # * 2) > 0`, list, 1800},
		{`any(data, any(#, # > 1))`, "[" + list + "]", 1800},
		{`any(data, len(#) > 3 or lower(#) contains "c" or # > "c")`, `[` + strings.Repeat(`"ab",`, 20_000) + `"ab"]`, 3700},
		{`any(data, # matches "^c")`, `[` + strings.Repeat(`"ab",`, 20_000) + `"ab"]`, 20_000},
		{`data matches "(a|b| )*c"`, long, 1300},
		{`data matches "(?i)C$"`, long, 1300},
		{`data matches "a.*c"`, long, 1300},
		{`data contains "c" or data contains "d"`, long, 2},
		{`data startsWith data and data endsWith data`, long, 2},
		{`data < data or data != data`, long, 2},
		{`2 in data or 3 in data`, list, 2},
		{`len(data) > 1 and lower(data) == upper(data)`, long, 4},
		{`sum(data) == 1 or count(data, true) == 1`, list, 2},
	}
	for _, test := range tests {
		f := mustCompile(t, test.filter)
		event := &filter.Event{Data: json.RawMessage(test.data)}
		for _, looks := range []int{0, 1, test.looks - 1} {
			got, err := f.Match(&endsAfter{t.Context(), looks}, event)
			if got || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s, interrupted at look %d: got %v, %v", test.filter, looks, got, err)
			}
		}
		want, err := f.MatchUninterruptibly(event)
		if err != nil {
			t.Errorf("%s: %v", test.filter, err)
		}
		if got, err := f.Match(t.Context(), event); got != want || err != nil {
			t.Errorf("%s: got %v, %v, and uninterruptible %v", test.filter, got, err, want)
		}
	}
}

// The program that can be interrupted gives what the other one gives, in words
// too.
func TestFilterThatCanBeInterruptedIsTheSame(t *testing.T) {
	event := paid()
	all := slices.Concat(slices.Collect(maps.Keys(filterResults())), slices.Collect(maps.Keys(filterFailures())))
	for _, text := range all {
		f := mustCompile(t, text)
		want, wantErr := f.MatchUninterruptibly(event)
		got, gotErr := f.MatchInterruptibly(t.Context(), event)
		if got != want || textOf(gotErr) != textOf(wantErr) {
			t.Errorf("%s: got %v, %v, want %v, %v", text, got, gotErr, want, wantErr)
		}
	}
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A filter that was interrupted at any point gives its result when it is
// evaluated again.
func TestFilterIsTheSameAfterAnInterruption(t *testing.T) {
	results := filterResults()
	texts := slices.Sorted(maps.Keys(results))
	event := paid()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom(texts).Draw(t, "filter")
		f, err := filter.Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		ctx := &endsAfter{t.Context(), rapid.IntRange(0, 3).Draw(t, "looks")}
		if got, err := f.MatchInterruptibly(ctx, event); err == nil && got != results[text] || got && err != nil {
			t.Fatalf("%s, interrupted: got %v, %v", text, got, err)
		}
		if got, err := f.MatchInterruptibly(t.Context(), event); got != results[text] || err != nil {
			t.Fatalf("%s, again: got %v, %v", text, got, err)
		}
	})
}

// A text is searched as a whole, where it can be searched quickly, and as a
// stream with the same result.
func TestPatternsInLongTexts(t *testing.T) {
	for _, pattern := range []string{`needle`, `^needle`, `needle$`, `needle[0-9]+`, `(?i)NEEDLE`, `\\bneedle\\b`, `(a|n)eedle\\d*$`, `^hay.*needle`, `\\x{fffd}`} {
		f := mustCompile(t, `data matches "`+pattern+`"`)
		for _, text := range []string{"", "needle", "needle7", "needles"} {
			for _, long := range []string{strings.Repeat("hay ", 70_000) + text, text + strings.Repeat(" hay", 70_000)} {
				data, err := json.Marshal(long)
				if err != nil {
					t.Fatal(err)
				}
				event := &filter.Event{Data: data}
				want, err := f.MatchUninterruptibly(event)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := f.Match(t.Context(), event); got != want || err != nil {
					t.Errorf("%s in %.10s...%s: got %v, %v, want %v", pattern, long, long[len(long)-10:], got, err, want)
				}
			}
		}
	}
}

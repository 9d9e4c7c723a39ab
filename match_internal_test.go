package hooks

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCheckType(t *testing.T) {
	valid := []string{
		"a", "Z", "0", "order.paid", "user.created.v2", "PostRegister", "User.Data.Updated",
		"a_b-c:d>e", "-", "POST:api>x.y", strings.Repeat("a", 256),
	}
	for _, s := range valid {
		if err := checkType("type", s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	invalid := []string{
		"", ".", ".a", "a.", "a..b", "..", "a b", "a\n", "*", "a.*", "ä", "a.b/c", "a\x00", "a\xff",
		strings.Repeat("a", 257),
	}
	for _, s := range invalid {
		var fault *InvalidError
		if err := checkType("type", s); !errors.As(err, &fault) || fault.Field != "type" || fault.Reason == "" {
			t.Errorf("%q: got %v, want an InvalidError of type", s, err)
		}
	}
}

func TestCheckPattern(t *testing.T) {
	valid := []string{"*", "a", "order.paid", "order.*", "a.b.c.*", strings.Repeat("a", 254) + ".*"}
	for _, s := range valid {
		if err := checkPattern("events[0]", s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	invalid := []string{
		"", ".", ".*", "**", "*.*", "a*", "*.a", "a.*.b", "a..*", ".a.*", "a.**", "a. *", "a.b*", "a.",
		strings.Repeat("a", 255) + ".*",
	}
	for _, s := range invalid {
		var fault *InvalidError
		if err := checkPattern("events[0]", s); !errors.As(err, &fault) || fault.Field != "events[0]" || fault.Reason == "" {
			t.Errorf("%q: got %v, want an InvalidError of events[0]", s, err)
		}
	}
}

func TestPatternMatches(t *testing.T) {
	tests := []struct {
		pattern, eventType string
		want               bool
	}{
		{"*", "order.paid", true},
		{"*", "a", true},
		{"order.paid", "order.paid", true},
		{"order.paid", "order.paid.late", false},
		{"order.paid", "order", false},
		{"order.paid", "Order.paid", false},
		{"order.*", "order.paid", true},
		{"order.*", "order.paid.late", true},
		{"order.*", "order", false},
		{"order.*", "orders.paid", false},
		{"order.*", "my.order.paid", false},
		{"order.paid.*", "order.paid.late", true},
		{"order.paid.*", "order.paid", false},
	}
	for _, tt := range tests {
		if got := patternMatches(tt.pattern, tt.eventType); got != tt.want {
			t.Errorf("%q matches %q: got %v", tt.pattern, tt.eventType, got)
		}
	}
}

func TestPrefixes(t *testing.T) {
	tests := map[string][]string{
		"a":               nil,
		"order.paid":      {"order."},
		"order.paid.late": {"order.paid.", "order."},
	}
	for eventType, want := range tests {
		if got := slices.Collect(prefixes(eventType)); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", eventType, got, want)
		}
		for first := range prefixes(eventType) { // may stop early
			if first != want[0] {
				t.Errorf("%q: got %q first", eventType, first)
			}
			break
		}
	}
}

// drawType draws event types that share segments often.
func drawType(t *rapid.T, label string) string {
	segments := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "ab", "a-b", ">"}), 1, 4).Draw(t, label)
	return strings.Join(segments, ".")
}

// Looking a type up the way an index does finds a pattern if and only if the
// pattern matches.
func TestLookUpAgreesWithPatternMatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := drawType(t, "pattern") + rapid.SampledFrom([]string{"", ".*"}).Draw(t, "suffix")
		pattern = rapid.SampledFrom([]string{pattern, pattern, "*"}).Draw(t, "or all")
		eventType := drawType(t, "type")
		if err := errors.Join(checkPattern("pattern", pattern), checkType("type", eventType)); err != nil {
			t.Fatal(err)
		}
		var found bool
		switch kind, name := splitPattern(pattern); kind {
		case matchAll:
			found = true
		case matchPrefix:
			found = slices.Contains(slices.Collect(prefixes(eventType)), name)
		case matchExact:
			found = name == eventType
		}
		if want := patternMatches(pattern, eventType); found != want {
			t.Fatalf("%q, %q: found %v, matches %v", pattern, eventType, found, want)
		}
	})
}

func TestLookUpDoesNotAllocate(t *testing.T) {
	index := map[string]int{"order.": 1, "order.paid.": 2}
	sum := 0
	allocs := testing.AllocsPerRun(100, func() {
		for prefix := range prefixes("order.paid.late.twice") {
			sum += index[prefix]
		}
	})
	if allocs != 0 || sum == 0 {
		t.Errorf("got %v allocations, sum %d", allocs, sum)
	}
}

func FuzzPattern(f *testing.F) {
	f.Add("order.*", "order.paid")
	f.Add("*", "a")
	f.Add("a..*", "a..b")
	f.Fuzz(func(t *testing.T, pattern, eventType string) {
		if checkType("type", eventType) == nil {
			if err := checkPattern("pattern", eventType); err != nil {
				t.Errorf("the type %q is no pattern: %v", eventType, err)
			}
			if !patternMatches(eventType, eventType) {
				t.Errorf("%q does not match itself", eventType)
			}
		}
		if checkPattern("pattern", pattern) == nil && pattern != "*" && len(pattern) < maxTypeSize {
			// What a valid pattern matches can be triggered.
			example := strings.Replace(pattern, "*", "x", 1)
			if err := checkType("type", example); err != nil || !patternMatches(pattern, example) {
				t.Errorf("%q does not match %q: %v", pattern, example, err)
			}
		}
	})
}

// patternMatches reports whether an event of this type is one that the pattern
// asks for: the definition that the look-up by prefixes is compared with.
func patternMatches(pattern, eventType string) bool {
	switch kind, name := splitPattern(pattern); kind {
	case matchAll:
		return true
	case matchPrefix:
		return strings.HasPrefix(eventType, name)
	default:
		return eventType == name
	}
}

package hooks_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

// BenchmarkFilters measures Trigger for an event that the filters of ten hooks
// refuse, so that there is nothing to store.
func BenchmarkFilters(b *testing.B) {
	const order = `{"total": 120.5, "customer": {"name": "Ann"}, "items": [{"sku": "a", "qty": 2}, {"sku": "b", "qty": 5}]}`
	large := `{"total": 1, "text": "` + strings.Repeat("ab ", 30_000) + `"}`
	for _, bench := range []struct{ name, filter, data string }{
		{"type", `type == "order.refunded" || metadata.region == "us"`, order},
		{"data", `data.total > 1000 && data.customer.name startsWith "B"`, order},
		{"predicate", `any(data.items, .qty > 5 and .sku matches "^c")`, order},
		{"interruptible", `data.text contains "c" or data.text matches "c+d$"`, large},
	} {
		b.Run(bench.name, func(b *testing.B) {
			m, err := hooks.New(memory.New(memory.Options{}), hooks.Config{})
			if err != nil {
				b.Fatal(err)
			}
			for i := range 10 {
				h := hooks.Hook{URL: fmt.Sprint("https://example.com/", i), Events: []string{"order.*"}, Filter: bench.filter}
				if _, err := m.Register(b.Context(), h); err != nil {
					b.Fatal(err)
				}
			}
			e := hooks.Event{Type: "order.paid", Metadata: map[string]string{"region": "eu"}, Data: []byte(bench.data)}
			b.ReportAllocs()
			for b.Loop() {
				if r, err := m.Trigger(b.Context(), e); err != nil || r.Deliveries != 0 {
					b.Fatalf("got %+v, %v", r, err)
				}
			}
		})
	}
}

// BenchmarkRegisterFilter measures Register for hooks whose filters differ, which
// are compiled, and the first Trigger that needs one.
func BenchmarkRegisterFilter(b *testing.B) {
	m, err := hooks.New(memory.New(memory.Options{}), hooks.Config{MaxHooks: -1})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		eventType := fmt.Sprint("type_", i)
		h := hooks.Hook{URL: "https://example.com/", Events: []string{eventType}, Filter: fmt.Sprintf(`data.total > 1000 && data.n == %d`, i)}
		if _, err := m.Register(b.Context(), h); err != nil {
			b.Fatal(err)
		}
		if r, err := m.Trigger(b.Context(), hooks.Event{Type: eventType, Data: []byte(`{"total": 1}`)}); err != nil || r.Deliveries != 0 {
			b.Fatalf("got %+v, %v", r, err)
		}
	}
}

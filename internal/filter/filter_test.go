package filter_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/seed-2c6e3a5a/hooks/internal/filter"
)

// paid is the event of most tests.
func paid() *filter.Event {
	return &filter.Event{
		Type:     "order.paid",
		Tenant:   "acme",
		Time:     time.Date(2025, 1, 2, 15, 4, 5, 0, time.UTC),
		Metadata: map[string]string{"region": "eu"},
		Data: json.RawMessage(`{
			"id": 9007199254740993, "total": 120.5, "huge": 1e999, "rush": true, "note": null, "text": "12.5",
			"customer": {"name": "Ann", "since": "2024-12-24"}, "odd key": 1, "tags": ["new", "gift"],
			"at": "2025-01-01T00:00:00Z", "items": [
				{"sku": "a", "qty": 2, "price": 1.5, "tags": ["x", "y"]},
				{"sku": "b", "qty": 5, "price": 20}
			]}`),
	}
}

func mustCompile(t testing.TB, text string) *filter.Filter {
	t.Helper()
	f, err := filter.Compile(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return f
}

// filterResults has filters and whether they let the event paid through.
func filterResults() map[string]bool {
	return map[string]bool{
		// Names.
		`type == "order.paid"`:                               true,
		`type startsWith "order." and type != "order.paid"`:  false,
		`type in ["order.paid", "order.refunded"]`:           true,
		`tenant == 'acme'`:                                   true,
		`metadata.region == "eu"`:                            true,
		`metadata["region"] in ["us", "eu"]`:                 true,
		`metadata.colour == ""`:                              true,
		`"colour" in metadata`:                               false,
		`data["odd key"] == 1`:                               true,
		`data.items[0].sku == "a" && data.items[-1].qty > 4`: true,
		`data.customer | len() == 2`:                         true,

		// Numbers.
		`data.total > 100 && data.total < 1e3`: true,
		`data.id == 9007199254740993`:          true,
		`data.id == 9007199254740992`:          false,
		`data.huge > 1e308`:                    true,
		`data.total in [-1, 120.5]`:            true,
		`data.total * 2 - 1 == 240`:            true,
		`data.total + 1.5 == 122`:              true,
		`1 + 2 == 3`:                           true,
		`7 % 4 == 3 and 2 ** 3 == 8`:           true,
		`10 ** 400 > data.total`:               true,
		`float(data.text) == 12.5`:             true,
		`int("12") == 12`:                      true,
		`abs(-2) == 2 && round(data.total) == 121 && floor(1.5) == 1 && ceil(1.5) == 2`: true,

		// Texts.
		`data.customer.name contains "nn"`:                              true,
		`data.customer.name endsWith "z"`:                               false,
		`data.customer.name not startsWith "B"`:                         true,
		`data.customer.name matches "^A.{2}$"`:                          true,
		`lower(data.customer.name) == "ann"`:                            true,
		`upper(trim("  a ")) == "A"`:                                    true,
		`len(data.customer.name) == 3`:                                  true,
		`data.customer.name < "B"`:                                      true,
		`data.at > "2024"`:                                              true,
		`data.rush ? data.total > 100 : false`:                          true,
		`not data.rush or !(data.rush)`:                                 false,
		`data.rush /* a comment */ // and another`:                      true,
		`data.customer == data.customer and data.items != data.tags`:    true,
		`data.tags == ["new", "gift"]`:                                  true,
		`"gift" in data.tags and "id" in data and "x" not in data.tags`: true,

		// Times.
		`time >= date("2025-01-01") && time < date("2025-01-02T15:04:06Z")`: true,
		`time - date(data.at) > duration("24h")`:                            true,
		`date(data.customer.since) + duration("1h") < time`:                 true,
		`2 * duration("1h") == duration("120m")`:                            true,

		// What is missing.
		`data.missing == 1`:                       false,
		`data.missing != 1`:                       true,
		`data.missing == nil && data.note == nil`: true,
		`data.missing in ["", "a"]`:               false,
		`data.missing contains "a"`:               false,
		`data.missing matches "a"`:                false,
		`data.missing?.deep.deeper == 1`:          false,
		`(data.missing?.deep ?? 5) > 1`:           true,
		`(data.missing ?? 0) > 1`:                 false,
		`data.missing ?? true`:                    true,

		// Predicates.
		`any(data.items, .qty > 3)`:                                 true,
		`any(data.items, {#.qty > 5})`:                              false,
		`all(data.items, .qty > 1 && .sku in ["a", "b"])`:           true,
		`none(data.items, .sku == "c")`:                             true,
		`one(data.items, .sku == "a")`:                              true,
		`count(data.items, .qty > 1) == 2`:                          true,
		`sum(data.items, .qty * .price) == 103`:                     true,
		`sum(data.items, .qty + 1) == 9`:                            true,
		`sum([1, 2]) == 3 && count([true, false]) == 1`:             true,
		`any(data.items, any(.tags ?? [], # == "y"))`:               true,
		`any(data.items, "y" in (.tags ?? []))`:                     true,
		`any(data.items, .sku contains "b" and .sku matches "^b$")`: true,
		`any(data.items, .qty == data.missing)`:                     false,
		`any(data.items, round(.price * 1.2) == 24)`:                true,
		`any(data.items, date("2025-01-01") < time and .qty > 4)`:   true,
		`any(data.missing ?? [], .qty > 3)`:                         false,
		`any(["Ann", "Bob"], # == data.customer.name)`:              true,
		`any(data.tags, data[#] == nil)`:                            true,
	}
}

func TestFilterMatches(t *testing.T) {
	event := paid()
	for text, want := range filterResults() {
		if got, err := mustCompile(t, text).Match(t.Context(), event); got != want || err != nil {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
}

// filterFailures has filters that cannot be evaluated for the event paid, and
// the reason.
func filterFailures() map[string]string {
	return map[string]string{
		`data.a.b == 1`:                    "filter failed: cannot fetch b from nil (line 1, column 8)",
		`data.a.b ?? true`:                 "filter failed: cannot fetch b from nil (line 1, column 8)",
		"true &&\n  data.missing > 1":      "filter failed: invalid operation: nil > int (line 2, column 16)",
		`data.customer > 1`:                "filter failed: invalid operation: object > int (line 1, column 15)",
		`data.missing`:                     "filter failed: it gave nil, not true or false",
		`true and data.total`:              "filter failed: it gave number, not true or false",
		`!data.missing`:                    "filter failed: the value is nil, not bool (line 1, column 1)",
		`any(data.missing, .qty > 3)`:      "filter failed: cannot go through nil (line 1, column 1)",
		`any(data, .x == 1)`:               "filter failed: cannot go through map (line 1, column 11)",
		`any(data.items, .qty)`:            "filter failed: the value is int, not bool (line 1, column 1)",
		`data.items[7].sku == "a"`:         "filter failed: index out of range: 7 (array length is 2) (line 1, column 11)",
		`"A" in data.customer.name`:        `filter failed: operator "in" not defined on string (line 1, column 5)`,
		`data.total matches "1"`:           "filter failed: the value is number, not string (line 1, column 12)",
		`lower(data.total) == ""`:          "filter failed: the value is number, not string (line 1, column 1)",
		`data.tags[0] + data.tags[1] == 1`: "filter failed: + adds numbers, not texts (line 1, column 14)",
		`data.total in data.customer`:      "filter failed: the key is number, not string (line 1, column 12)",
		`sum(data.tags) == 1`:              "filter failed: invalid operation: string + int (line 1, column 1)",
		`data.id % 0 == 1`:                 "filter failed: integer divide by zero (line 1, column 9)",
		`date(data.customer.name) < time`:  "filter failed: invalid date Ann (line 1, column 1)",
		`float(data.customer.name) > 1`:    "filter failed: invalid operation: float(Ann) (line 1, column 1)",
	}
}

// What cannot be decided is no match, and told.
func TestFilterFailures(t *testing.T) {
	event := paid()
	for text, want := range filterFailures() {
		got, err := mustCompile(t, text).Match(t.Context(), event)
		if got || err == nil || err.Error() != want {
			t.Errorf("%s: got %v, %v, want %s", text, got, err, want)
		}
	}
}

func TestFilterExamplesOfTheDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/filters.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```")
	if len(blocks) < 5 {
		t.Fatalf("found %d blocks", len(blocks)/2)
	}
	for i := 1; i < len(blocks); i += 2 {
		for line := range strings.Lines(strings.Trim(blocks[i], "\n")) {
			mustCompile(t, strings.TrimSpace(line))
		}
	}
}

func TestFilterFailureIsShort(t *testing.T) {
	event := &filter.Event{Data: json.RawMessage(`"` + strings.Repeat("ä", 1<<16) + `"`)}
	_, err := mustCompile(t, `date(data) < time`).Match(t.Context(), event)
	if err == nil || len(err.Error()) > 300 || !utf8.ValidString(err.Error()) {
		t.Errorf("got %.400v", err)
	}
}

func TestFilterIsInvalid(t *testing.T) {
	tests := map[string]string{
		``:                       "is not an expression: unexpected end (line 1, column 1)",
		`data.x &&`:              "is not an expression: unexpected end (line 1, column 9)",
		"data.x ==\n\n  ♥":       "is not an expression: unrecognized character: U+2665 '♥' (line 3, column 3)",
		`"ä" == data.x = 1`:      `is not an expression: unexpected token Operator("=") (line 1, column 15)`,
		`"abc`:                   "is not an expression: literal not terminated (line 1, column 5)",
		`99999999999999999999`:   `is not an expression: invalid integer literal: parsing "99999999999999999999": value out of range (line 1, column 20)`,
		`1e999 > 1`:              `is not an expression: invalid float literal: parsing "1e999": value out of range (line 1, column 7)`,
		`if data.x {1} else {2}`: `is not an expression: unexpected token Identifier("data") (line 1, column 4)`,

		`"a"`:                                    "must give true or false, not string",
		`type == 1`:                              "does not fit together: invalid operation: == (mismatched types string and int) (line 1, column 6)",
		`time > "2025-01-01"`:                    "does not fit together: invalid operation: > (mismatched types time and string) (line 1, column 6)",
		`date("soon") < time`:                    "must give date() a text that it can read: invalid date soon (line 1, column 1)",
		`amount > 1`:                             "must not use the unknown name amount: there are type, tenant, time, data and metadata (line 1, column 1)",
		`$env["data"] == 1`:                      "must not use the unknown name $env: there are type, tenant, time, data and metadata (line 1, column 1)",
		`let x = 1; x == 1`:                      "must not use let, semicolons, byte strings, slices such as x[1:2] or objects such as {a: 1} (line 1, column 5)",
		`data.x matches "("`:                     "must use valid patterns: error parsing regexp: missing closing ): `(` (line 1, column 16)",
		`data.x matches data.y`:                  "must give the pattern of matches as a text in quotes, of at most 256 bytes (line 1, column 21)",
		`now() > time`:                           "must not use the function now(), which filters do not have (line 1, column 1)",
		`len(data.x, 1) > 1`:                     "must give len() one argument (line 1, column 1)",
		`[-"a"] == data.x`:                       "is not an expression",
		`1 < data.x < 3`:                         "must not chain comparisons: write a < b && b < c (line 1, column 10)",
		`data.x ?: true`:                         "must not use ?: with nothing in between: write a ?? b (line 1, column 14)",
		`data.a + " " + data.b == "a b"`:         "must not join texts: + adds numbers (line 1, column 8)",
		`[data.x] == data.y`:                     "must not have lists of anything but constants (line 1, column 7)",
		`data.x in 1..9`:                         "must not use the operator .. (line 1, column 12)",
		`any(data.items, any(data.items, true))`: "must not go through anything but the element inside of any(), all() and the like (line 1, column 26)",
	}
	for text, want := range tests {
		_, err := filter.Compile(text)
		var fault *filter.CompileError
		if !errors.As(err, &fault) || fault.Reason != want {
			t.Errorf("%s\ngot  %v\nwant %s", text, err, want)
		}
	}
}

// Each of these costs more than the event is large, or can, or is of no use to
// a filter.
func TestFilterRefuses(t *testing.T) {
	tests := []string{
		// Other parts of expr.
		`true; false`, `{a: 1} == data`, `data.items[0:1] == data.x`, `b"abc" == data.x`, `[[1]] == data.x`, `[!1] == data.x`,
		`repeat("a", 1000000) == ""`, `1..1000000 == data.x`, `len(1..data.x) > 1`, `toJSON(data) contains "x"`, `fromJSON(data.x) == 1`,
		`split(data.x, "") == data.y`, `join(data.x) == "a"`, `replace(data.x, "", "aaaaaa") == ""`, `string(data) == ""`,
		`sort(data.x) == data.y`, `sortBy(data.x, .a) == data.y`, `uniq(data.x) == data.y`, `flatten(data.x) == data.y`, `reverse(data.x) == data.y`,
		`concat(data.x, data.x) == data.y`, `keys(data) == data.y`, `map(data.x, data) == data.y`, `filter(data.x, true) == data.y`,
		`find(data.x, true)`, `groupBy(data.x, .a) == data.y`, `reduce(data.x, #acc + #) > 1`, `max(data.x) > 1`, `median(data.x) > 1`,
		`date("2025-01-01", "2006-01-02", "Europe/Berlin") < time`, `timezone("Europe/Berlin") == nil`, `get(data, "x")`, `type(data) == "map"`,
		`::type(data) == "map"`, `time.Format(data.x) == ""`, `time.Hour() > 9`, `data.x()`, `unknown(1)`, `trim(data.x, data.y) == ""`,
		`any(data.x, #index > 1)`, `# > 1`, `.x > 1`, `type + tenant == "ab"`,

		// Going through the event for each element.
		`any(data.a, all(data.b, true))`, `any(data.a, all(metadata, true))`, `any(data.a, # in data.b)`, `any(data.a, data.b in #)`,
		`any(data.a, data.text contains #)`, `any(data.a, data.text matches "a")`, `any(data.a, data.b == data.c)`, `any(data.a, data.b < data.c)`,
		`any(data.a, data.b startsWith metadata.c)`, `any(data.a, len(data.b) > 1)`, `any(data.a, lower(data.b) == #)`, `any(data.a, date(data.b) < time)`,
		`any(data.a, float(data.b) > 1)`, `any(data.a, .map[data.key] == 1)`, `any(data.a, (# ?? data.b) contains "x")`,
		`any(data.a, (true && data.b) contains "x")`, `any(data.a, (# == 1 ? # : data.b) contains "x")`, `any(data.a, (+data.b) contains "x")`,
		`any(data.a, any(data?.b, true))`, `any(data.a, any(data.b[#], true))`, `any(["a"], data.text contains #)`, `data.a | any(data.b | any(true))`,
		`any(data.a, lower("` + strings.Repeat("A", 100) + `") == #)`, `any(data.a, type matches "a")`, `any(data.a, tenant contains "a")`,

		// Constant lists within each other multiply.
		`any([1, 2], any([1, 2], true))`, `any(data.a, any([1, 2], true))`, `any([nil, nil], any(#?.x ?? [nil, nil], true))`,
		`any([nil, nil], any(true ? [nil, nil] : #, true))`, `any(data.a, any("abc", true))`,

		// Patterns that are too large.
		`data.x matches ".{1000}.{100}"`, `data.x matches "` + strings.Repeat("a", 257) + `"`, `data.x matches "((a{100}){100}){100}"`,
		`data.x matches "a{500}" || data.x matches "b{500}"`,
	}
	for _, text := range tests {
		if _, err := filter.Compile(text); !errors.As(err, new(*filter.CompileError)) {
			t.Errorf("%s: got %v, want a CompileError", text, err)
		}
	}
}

// Hostile texts end soon, in whatever way: this test is one of termination.
func TestFilterIsHostile(t *testing.T) {
	nested := func(open, middle, closing string, depth int) string {
		return strings.Repeat(open, depth) + middle + strings.Repeat(closing, depth)
	}
	tests := map[string]string{
		"too long":              strings.Repeat("true and ", 1000) + "true",
		"parentheses":           nested("(", "", ")", 2048),
		"unclosed parentheses":  strings.Repeat("(", 4096),
		"filled parentheses":    nested("(", "true", ")", 2000),
		"brackets":              nested("[", "", "]", 2048),
		"unclosed brackets":     strings.Repeat("[", 4096),
		"braces":                strings.Repeat("{", 4096),
		"nots":                  strings.Repeat("!", 4091) + "true",
		"minuses":               strings.Repeat("-", 4090) + "1 > 0",
		"members":               "data" + strings.Repeat(".a", 2000),
		"optional members":      "data" + strings.Repeat("?.a", 1300),
		"indexes":               nested("data[", "0", "]", 600),
		"calls":                 nested("len(", "data", ")", 800),
		"few calls":             nested("lower(", "data", ")", 300) + ` == ""`,
		"powers":                strings.Repeat("9**", 1300) + "9 > 1",
		"few powers":            strings.Repeat("9**", 190) + "9 > 1",
		"chained comparisons":   nested("1<(", "data.x", ")<1", 580),
		"chained conditions":    nested("1<(true?", "data.x", ":1)<1", 330),
		"chained conditionals":  "data.x" + strings.Repeat("?:1", 1300),
		"nested conditionals":   nested("(", "data.x", "?:1)", 800),
		"ternaries":             strings.Repeat("true?", 800) + "1" + strings.Repeat(":1", 800),
		"predicates":            nested("any(data,", "true", ")", 400),
		"predicates of element": nested("any(#,", "true", ")", 500),
		"predicates of lists":   nested("any([1,2,3],", "false", ")", 80),
		"few of the element":    "any(data," + nested("any(#,", "true", ")", 120) + ")",
		"lets":                  strings.Repeat("let a=data;", 300) + "true",
		"sequence":              strings.Repeat("true;", 800),
		"pipes":                 "data" + strings.Repeat("|len()", 600),
		"list":                  "data in [" + strings.Repeat("1,", 2000) + "1]",
		"long text":             `data == "` + strings.Repeat("a", 4000) + `"`,
		"escapes":               `data == "` + strings.Repeat(`\u{10ffff}`, 400) + `"`,
		"pattern":               `data matches "` + strings.Repeat(".{1000}", 500) + `"`,
		"many patterns":         strings.Repeat(`data matches ".{900}" or `, 150) + "true",
		"nested pattern":        `data matches "` + nested("(", "a", ")*", 80) + `"`,
		"pattern classes":       `data matches "(?i)[^\\pL\\pN\\x{0}-\\x{10ffff}]{9}"`,
		"numbers":               strings.Repeat("9", 4096),
		"exponent":              "1e" + strings.Repeat("9", 4000) + " > 1",
		"digits":                "0." + strings.Repeat("1", 4000) + " > 1",
		"hexadecimal":           "0x" + strings.Repeat("f", 4000) + " > 1",
		"comment":               "/*" + strings.Repeat("*", 4000),
		"not UTF-8":             strings.Repeat("\xff", 4096),
		"NUL":                   strings.Repeat("\x00", 4096),
		"quotes":                strings.Repeat(`"`, 4096),
		"range":                 "1000000000 in 1..1000000000",
	}
	deep := &filter.Event{Data: json.RawMessage(nested("[", "", "]", 5000))}
	wide := &filter.Event{Data: json.RawMessage("[" + strings.Repeat("[],", 10_000) + "[]]")}
	text := &filter.Event{Data: json.RawMessage(`"` + strings.Repeat("x", 10_000) + `"`)}
	for name, expression := range tests {
		t.Run(name, func(t *testing.T) {
			f, err := filter.Compile(expression)
			if err != nil {
				if !errors.As(err, new(*filter.CompileError)) || len(err.Error()) > 400 {
					t.Errorf("got %.500v, want a short CompileError", err)
				}
				return
			}
			for _, event := range []*filter.Event{deep, wide, text} {
				if matched, err := f.Match(t.Context(), event); matched && err != nil {
					t.Errorf("matched and failed: %v", err)
				}
			}
		})
	}
}

// A filter with much work is not run on large data.
func TestFilterWorkIsBounded(t *testing.T) {
	sized := func(size int) *filter.Event {
		return &filter.Event{Data: json.RawMessage(`{"a": [1], "pad": "` + strings.Repeat("x", size) + `"}`)}
	}
	light := mustCompile(t, `type == "" && data.a[0] < 5 && data.pad != "x" && data.a != nil`)
	heavy := mustCompile(t, `all(data.a, `+strings.Repeat("# > 0 and ", 90)+`true) or data.pad matches "x{700}"`)
	for size, want := range map[int]bool{1 << 10: true, 1 << 20: false} {
		if got, err := light.Match(t.Context(), sized(size)); !got || err != nil {
			t.Errorf("light filter, %d bytes: got %v, %v", size, got, err)
		}
		if got, err := heavy.Match(t.Context(), sized(size)); got != want || (err == nil) != want {
			t.Errorf("heavy filter, %d bytes: got %v, %v", size, got, err)
		}
	}
}

func TestFilterEventIsDecodedOnceIfNeeded(t *testing.T) {
	event := &filter.Event{Type: "a", Data: json.RawMessage(`not JSON`)}
	if got, err := mustCompile(t, `type == "a"`).Match(t.Context(), event); !got || err != nil {
		t.Errorf("a filter that does not use data: got %v, %v", got, err)
	}
	for range 2 {
		if got, err := mustCompile(t, `data.x == 1`).Match(t.Context(), event); got || err == nil {
			t.Errorf("data is not JSON: got %v, %v", got, err)
		}
	}
	event = &filter.Event{Data: json.RawMessage(`{"x": 1}`)}
	for range 2 {
		if got, err := mustCompile(t, `data.x == 1`).Match(t.Context(), event); !got || err != nil {
			t.Errorf("got %v, %v", got, err)
		}
		event.Data = json.RawMessage(`{"x": 2}`) // is not read again
	}
}

func TestFilterIntegersAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64().Draw(t, "n")
		event := &filter.Event{Data: fmt.Appendf(nil, `{"n": %d}`, n)}
		for m, want := range map[int64]bool{n: true, n + 1: false} { // n + 1 may wrap around
			if m == math.MinInt64 {
				continue // has no literal: -x negates one that is too large
			}
			f, err := filter.Compile(fmt.Sprintf("data.n == %d and data.n in [%[1]d]", m))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := f.Match(t.Context(), event); got != want || err != nil {
				t.Fatalf("%d == %d: got %v, %v", n, m, got, err)
			}
		}
	})
}

// A filter may be used concurrently, also when it is compiled once more meanwhile.
func TestFilterIsUsedConcurrently(t *testing.T) {
	f := mustCompile(t, `data matches "(a|b| )*c" or len(data) > 1`)
	data, err := json.Marshal(strings.Repeat("ab ", 10_000))
	if err != nil {
		t.Fatal(err)
	}
	if !f.NeedsCompiling(&filter.Event{Data: data}) {
		t.Error("the filter was compiled twice at once")
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for _, data := range []string{string(data), `"ab"`} {
				if got, err := f.Match(t.Context(), &filter.Event{Data: json.RawMessage(data)}); !got || err != nil {
					t.Errorf("%.10s: got %v, %v", data, got, err)
				}
			}
		})
	}
	group.Wait()
	if f.NeedsCompiling(&filter.Event{Data: data}) {
		t.Error("the filter would be compiled again")
	}
}

func FuzzFilter(f *testing.F) {
	data := string(paid().Data)
	for _, expression := range []string{
		`data.total > 100 && metadata.region == "eu"`,
		`any(data.items, .qty > 3 and any(.tags ?? [], # matches "^x"))`,
		`(data.customer?.name ?? "") startsWith "A" ? time - date(data.at) > duration("1h") : sum(data.items, .qty * -1) < 5`,
		`data.tags[0] in ["a", 1, -2.5, nil, true] or not (lower(type) contains "order")`,
		`1<(1<(data.x)<1)<1`,
		`data.x?:1?:1`,
		`any([nil], any(#?.x ?? [nil], true))`,
		`data | len() + 1 ** 9 % 2 == abs(-1)`,
	} {
		f.Add(expression, data)
	}
	f.Fuzz(func(t *testing.T, expression, data string) {
		compiled, err := filter.Compile(expression)
		if err != nil {
			if !errors.As(err, new(*filter.CompileError)) {
				t.Fatalf("got %v, want a CompileError", err)
			}
			return
		}
		event := &filter.Event{Type: "a.b", Data: json.RawMessage(data), Metadata: map[string]string{"a": "b"}}
		first, err := compiled.Match(t.Context(), event)
		if first && err != nil {
			t.Fatalf("matched and failed: %v", err)
		}
		if again, _ := compiled.Match(t.Context(), event); again != first {
			t.Fatalf("got %v, then %v", first, again)
		}
	})
}

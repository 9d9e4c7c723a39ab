package logto_test

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/logto"
)

// sent is what a delivery makes of a value in an event's data.
func sent(t testing.TB, value string) string {
	t.Helper()
	endpoint, err := new(logto.Protocol).Compile(hooks.Hook{ID: "the-hook", URL: "https://example.com"})
	require.NoError(t, err)
	event := hooks.Event{Type: "a", Data: []byte(`{"v":` + value + `}`)}
	request, err := endpoint.Request(t.Context(), nil, []hooks.Message{{Event: &event}})
	require.NoError(t, err)
	_, body, ok := bytes.Cut(request.Body, []byte(`,"v":`))
	require.True(t, ok, "%s", request.Body)
	text, ok := strings.CutSuffix(string(body), `,"hookId":"the-hook"}`)
	require.True(t, ok, "%s", request.Body)
	return text
}

// Node.js has written the second of each pair: JSON.stringify(JSON.parse(first)).
func TestValuesAreWrittenAsJavaScriptDoes(t *testing.T) {
	table, err := os.ReadFile("testdata/stringify.json")
	require.NoError(t, err)
	var pairs [][2]string
	require.NoError(t, json.Unmarshal(table, &pairs))
	require.Greater(t, len(pairs), 200)
	for _, pair := range pairs {
		assert.Equal(t, pair[1], sent(t, pair[0]), pair[0])
		assert.Equal(t, pair[1], sent(t, pair[1]), "again")
	}
}

// What JavaScript would change the value of is written as it is.
func TestNumbersThatJavaScriptRoundsKeepTheirDigits(t *testing.T) {
	for _, number := range []string{
		"9007199254740993", "-9007199254740993", "12345678901234567890", "123456789012345678", "100000000000000000000001",
		"0.1000000000000000000000000000001", "0.12345678901234567890", "1e400", "-1E400", "1e-400", "1.7976931348623159e308", "3e-324",
		"1e99999999999999999999", "1e-99999999999999999999", "9007199254740993.0", "9007199254740993e0", "1" + strings.Repeat("0", 400),
		"0." + strings.Repeat("0", 400) + "1", "1." + strings.Repeat("0", 400) + "1", "17976931348623157" + strings.Repeat("0", 293),
	} {
		assert.Equal(t, number, sent(t, number))
	}
	for number, want := range map[string]string{
		"9007199254740993000e-3":                                       "9007199254740993000e-3",
		"9007199254740992000e-3":                                       "9007199254740992",
		"1" + strings.Repeat("0", 300):                                 "1e+300",
		"0." + strings.Repeat("0", 299) + "1" + strings.Repeat("0", 9): "1e-300",
		strings.Repeat("1", 21):                                        strings.Repeat("1", 21),
		"1" + strings.Repeat("0", 400) + "e-400":                       "1",
		"0e99999999999999999999":                                       "0",
	} {
		assert.Equal(t, want, sent(t, number))
	}
}

// Members of the data that are out of order take neither much more memory than others
// nor quadratic time, however deep they are nested.
func TestDeepAndLargeDataIsWritten(t *testing.T) {
	const depth = 4000
	deep := strings.Repeat(`{"a":1,"2":0,"1":`, depth) + `"` + strings.Repeat("x", 1<<20) + `"` + strings.Repeat("}", depth)
	want := strings.Repeat(`{"1":`, depth) + `"` + strings.Repeat("x", 1<<20) + `"` + strings.Repeat(`,"2":0,"a":1}`, depth)
	assertSame(t, want, sent(t, deep))
	assert.Equal(t, strings.Repeat("[", 9000)+strings.Repeat("]", 9000), sent(t, strings.Repeat("[ ", 9000)+strings.Repeat(" ]", 9000)))

	var many, inOrder strings.Builder
	const n = 100_000
	for i := range n {
		fmt.Fprintf(&many, `,"k%d":%d,"%d":0,"k%d":1`, i, i, n-i, i)
	}
	for i := range n {
		fmt.Fprintf(&inOrder, `,"%d":0`, i+1)
	}
	for i := range n {
		fmt.Fprintf(&inOrder, `,"k%d":1`, i)
	}
	assertSame(t, "{"+inOrder.String()[1:]+"}", sent(t, "{"+many.String()[1:]+"}"))
}

// assertSame compares texts that are too long to be printed.
func assertSame(t *testing.T, want, got string) {
	t.Helper()
	assert.Equal(t, sha256.Sum256([]byte(want)), sha256.Sum256([]byte(got)))
}

// FuzzStringify writes any value: it means the same to Go, and is written the same
// again.
func FuzzStringify(f *testing.F) {
	for _, seed := range []string{
		`{"b":[1.0,-0,1e21,1e-7,1e400],"1":"\u003c\/\ud800\ud83d\ude00\u2028","b":{"2":0,"1":{},"\u0031":null}}`,
		` [ "\\\"\u0022" , true,false , {"a":{"a":1,"a":2}}, 12345678901234567890 ] `, `0.1000000000000000000000000000001`, `"\ud83d\ud83d\ude00"`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if _, err := idle(t).Trigger(t.Context(), hooks.Event{Type: "a", Data: []byte(`{"v":` + value + `}`)}); err != nil || !json.Valid([]byte(value)) {
			t.Skip("no JSON")
		}
		got := sent(t, value)
		assert.Equal(t, got, sent(t, got))
		if !strings.Contains(got, `\ud`) { // Lone surrogates are the same to Go, also in names.
			assert.Equal(t, meaning(t, value), meaning(t, got), got)
		}
	})
}

// meaning is the value of JSON, with exact numbers.
func meaning(t *testing.T, text string) any {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var value any
	require.NoError(t, decoder.Decode(&value))
	var exact func(value any) any
	exact = func(value any) any {
		switch v := value.(type) {
		case json.Number:
			mantissa, exponent, _ := strings.Cut(strings.ToLower(v.String()), "e")
			if strings.Trim(mantissa, "-.0") == "" {
				return "0"
			}
			if n, err := strconv.Atoi(cmp.Or(exponent, "0")); err != nil || n < -1000 || n > 1000 {
				return v.String() // Its rational number would be enormous.
			}
			r, ok := new(big.Rat).SetString(v.String())
			require.True(t, ok, v)
			return r.RatString()
		case []any:
			for i := range v {
				v[i] = exact(v[i])
			}
		case map[string]any:
			for name := range v {
				v[name] = exact(v[name])
			}
		}
		return value
	}
	return exact(value)
}

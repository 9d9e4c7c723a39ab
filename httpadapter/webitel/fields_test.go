package webitel_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks/hookstest"
)

// sentData returns what was sent as the data of the envelope.
func sentData(t *testing.T, r hookstest.Request) string {
	t.Helper()
	body := string(r.Body)
	_, data, ok := strings.Cut(body, `"data":`)
	require.True(t, ok, body)
	return strings.TrimSuffix(data, "}")
}

// What fields and map make of the data.
func TestFieldsAndMap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		const event = `{"a": 1, "b": {"c": [ 1e400, "<" ]}, "d": null, "e": "é"}`
		for name, test := range map[string]struct{ members, object, want string }{
			"nothing":                                 {``, event, `{"a":1,"b":{"c":[1e400,"<"]},"d":null,"e":"é"}`},
			"null":                                    {`,"fields":null,"map":null`, event, `{"a":1,"b":{"c":[1e400,"<"]},"d":null,"e":"é"}`},
			"empty":                                   {`,"fields":[],"map":{}`, event, `{"a":1,"b":{"c":[1e400,"<"]},"d":null,"e":"é"}`},
			"an empty event":                          {``, `{}`, `{}`},
			"an event that is no object":              {``, `[1]`, `{"data":[1]}`},
			"a member twice":                          {``, `{"a":1,"b":2,"a":3}`, `{"a":1,"b":2,"a":3}`},
			"one of them":                             {`,"fields":["b","a"]`, `{"a":1,"b":2,"a":3}`, `{"b":2,"a":3}`},
			"some fields, in their order":             {`,"fields":["d","a"]`, event, `{"d":null,"a":1}`},
			"a field that the event lacks":            {`,"fields":["a","x"]`, event, `{"a":1}`},
			"no field that the event has":             {`,"fields":["x"]`, event, `{}`},
			"a field twice":                           {`,"fields":["a","a"]`, event, `{"a":1}`},
			"no paths":                                {`,"fields":["b.c"]`, event, `{}`},
			"another letter case":                     {`,"fields":["A"]`, event, `{}`},
			"fields and new names":                    {`,"fields":["a","e"],"map":{"a":"x"}`, event, `{"x":1,"e":"é"}`},
			"a new name of what is not in fields":     {`,"fields":["a"],"map":{"e":"x"}`, event, `{"a":1}`},
			"a new name of what is not in the event":  {`,"map":{"x":"a"}`, event, `{"a":1,"b":{"c":[1e400,"<"]},"d":null,"e":"é"}`},
			"new names without fields":                {`,"map":{"a":"x","e":"<y>"}`, event, `{"x":1,"b":{"c":[1e400,"<"]},"d":null,"<y>":"é"}`},
			"its own name":                            {`,"fields":["a"],"map":{"a":"a"}`, event, `{"a":1}`},
			"a swap":                                  {`,"fields":["a","e"],"map":{"a":"e","e":"a"}`, event, `{"e":1,"a":"é"}`},
			"a circle":                                {`,"fields":["a","d","e"],"map":{"a":"d","d":"e","e":"a"}`, event, `{"d":1,"e":null,"a":"é"}`},
			"a name that is taken":                    {`,"fields":["a","e"],"map":{"a":"e"}`, event, `{"e":1}`},
			"one name for two":                        {`,"fields":["a","e"],"map":{"a":"x","e":"x"}`, event, `{"x":"é"}`},
			"one name for two, the other way round":   {`,"fields":["a","e"],"map":{"e":"x","a":"x"}`, event, `{"x":1}`},
			"one name for two, of which one is there": {`,"fields":["a"],"map":{"a":"x","z":"x"}`, event, `{"x":1}`},
			"a body of its own":                       {`,"customBody":true,"rawBody":"{\"data\":{}}","fields":["a"],"map":{"a":"x"}`, event, `{}`},
			"not quite a body of its own":             {`,"customBody":false,"rawBody":"[]","fields":["a"]`, event, `{"a":1}`},
			"a body of its own that is not there":     {`,"customBody":true,"rawBody":null,"fields":["a"]`, event, `{"a":1}`},
		} {
			requests, _ := c.deliver(test.members, test.object)
			if assert.Len(t, requests, 1, name) {
				assert.Equal(t, test.want, sentData(t, requests[0]), name)
			}
		}
	})
}

// What the operations of filters let through.
func TestFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		for name, test := range map[string]struct {
			filter string
			pass   string // members of events that do, by semicolons
			not    string
		}{
			"no filter":                     {`null`, `"f":1`, ``},
			"an empty one":                  {`{}`, `"f":1`, ``},
			"all have to hold":              {`{"f":{"operation":"==","value":1},"g":{"operation":"==","value":2}}`, `"f":1,"g":2`, `"f":1;"g":2;"f":1,"g":1`},
			"exact names":                   {`{"f.g":{"operation":"==","value":1}}`, `"f.g":1`, `"f":{"g":1};"F.g":1`},
			"no prefix":                     {`{"f":{"operation":"==","value":1}}`, `"f":1`, `"variable_f":1`},
			"== of numbers in strings":      {`{"f":{"operation":"==","value":1}}`, `"f":"1";"f":"01";"f":1.0;"f":true`, `"f":"1x";"f":null;"g":1`},
			"== of strings":                 {`{"f":{"operation":"==","value":"1"}}`, `"f":"1";"f":1;"f":[1]`, `"f":"1.0";"f":"01"`},
			"== null":                       {`{"f":{"operation":"==","value":"null"}}`, `"g":1;"f":null`, `"f":"null";"f":"";"f":0`},
			"!= null":                       {`{"f":{"operation":"!=","value":"null"}}`, `"f":"null";"f":"";"f":0`, `"g":1;"f":null`},
			"== without a value":            {`{"f":{"operation":"=="}}`, `"g":1;"f":null`, `"f":"";"f":0`},
			"== of nothing":                 {`{"f":{"operation":"==","value":""}}`, `"g":1`, `"f":"";"f":0`},
			"== of 0":                       {`{"f":{"operation":"==","value":0}}`, `"g":1`, `"f":0;"f":"0"`},
			"== of 0 in a string":           {`{"f":{"operation":"==","value":"0"}}`, `"f":0;"f":"0"`, `"g":1`},
			"!=":                            {`{"f":{"operation":"!=","value":"a"}}`, `"f":"b";"g":1;"f":null`, `"f":"a"`},
			"< of strings goes by letters":  {`{"f":{"operation":"<","value":"9"}}`, `"f":"10";"f":8`, `"f":"91";"f":10;"g":1`},
			"< of numbers":                  {`{"f":{"operation":"<","value":9}}`, `"f":"8";"f":-1;"f":null`, `"f":"10";"f":9;"g":1;"f":"x"`},
			"> of nothing is > 0":           {`{"f":{"operation":">","value":null}}`, `"f":1;"f":"0.5"`, `"f":0;"f":-1;"g":1`},
			"<= and >=":                     {`{"f":{"operation":"<=","value":2},"g":{"operation":">=","value":2}}`, `"f":2,"g":2`, `"f":3,"g":2;"f":2,"g":1`},
			"reg":                           {`{"f":{"operation":"reg","value":"^38"}}`, `"f":"38044";"f":38044`, `"f":"138";"g":1`},
			"reg with flags":                {`{"f":{"operation":"reg","value":"/AB/gi"}}`, `"f":"xab"`, `"f":"a"`},
			"reg with flags that are none":  {`{"f":{"operation":"reg","value":"/x/s"}}`, `"f":"a/x/s"`, `"f":"x"`},
			"reg of what is not there":      {`{"f":{"operation":"reg","value":".*"}}`, `"f":"";"f":null`, `"g":1`},
			"reg of lists and objects":      {`{"f":{"operation":"reg","value":"^1,2$|object"}}`, `"f":[1,"2"];"f":{}`, `"f":[2,1]`},
			"values are no templates":       {`{"f":{"operation":"==","value":"${g}"}}`, `"f":"${g}","g":1`, `"f":1,"g":1`},
			"reg may look like a bare word": {`{"f":{"operation":"reg","value":"null"}}`, `"f":"null";"f":null`, `"g":1`},
		} {
			r := c.receiver(hookstest.Status(200))
			id := c.create(body("E", r.URL, `,"filter":`+test.filter))
			for _, members := range strings.Split(test.pass, ";") {
				c.trigger("E", `{`+members+`}`)
				assert.Equal(t, `{`+members+`}`, sentData(t, r.Next()), name)
			}
			for _, members := range strings.Split(test.not, ";") {
				if members != "" {
					c.trigger("E", `{`+members+`}`)
				}
			}
			time.Sleep(time.Second)
			assert.Len(t, r.Requests(), strings.Count(test.pass, ";")+1, name)
			c.do("DELETE "+path+"/"+id, "")
		}
		assert.Empty(t, c.skipped)
	})
}

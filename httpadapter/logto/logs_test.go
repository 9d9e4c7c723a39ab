package logto_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/apitest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/logto"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

func TestRecentLogsSelect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		made, _ := c.endpoint("*", "")
		var times []int64
		for _, eventType := range []string{"User.Created", "User.Deleted", "User.Created", "Role.Created"} {
			time.Sleep(10 * time.Hour)
			times = append(times, time.Now().UnixMilli())
			c.trigger(hooks.Event{Type: eventType})
			time.Sleep(time.Second)
		}
		ms := func(n int64) string { return strconv.FormatInt(n, 10) }
		for _, q := range []struct {
			query string
			want  []int // places in times, the newest first
		}{
			{"", []int{3, 2, 1}}, // of the last 24 hours
			{"start_time=0", []int{3, 2, 1, 0}},
			{"start_time=", []int{3, 2, 1, 0}},
			{"end_time=" + ms(times[3]), []int{3, 2, 1, 0}},
			{"start_time=" + ms(times[1]), []int{3, 2, 1}},
			{"start_time=" + ms(times[1]) + ".1", []int{3, 2}},
			{"end_time=" + ms(times[1]), []int{1, 0}},
			{"end_time=" + ms(times[1]) + ".9", []int{1, 0}},
			{"end_time=" + ms(times[1]-1), []int{0}},
			{"start_time=" + ms(times[1]) + "&end_time=" + ms(times[1]), []int{1}},
			{"start_time=" + url.QueryEscape(" "+ms(times[2])+" "), []int{3, 2}},
			{"start_time=0x10&end_time=" + url.QueryEscape(strconv.FormatFloat(float64(times[0]), 'e', -1, 64)), []int{0}},
			{"start_time=-1e300&end_time=1e300", []int{3, 2, 1, 0}},
			{"end_time=0", nil},
			{"start_time=0&logKey=TriggerHook.User.Created", []int{2, 0}},
			{"start_time=0&logKey=", []int{3, 2, 1, 0}},
			{"start_time=0&logKey=User.Created", nil},
			{"start_time=0&logKey=TriggerHook", nil},
			{"start_time=0&logKey=TriggerHook.", nil},
			{"start_time=0&logKey=TriggerHook.user.created", nil},
			{"start_time=0&page_size=3", []int{3, 2, 1}},
			{"start_time=0&page_size=3&page=2", []int{0}},
			{"start_time=0&page_size=3&page=3", nil},
			{"start_time=0&page=2147483647&page_size=100", nil},
		} {
			var got []int
			for _, row := range c.logs(made.ID, "?"+q.query) {
				got = append(got, slices.Index(times, row.CreatedAt))
			}
			assert.Equal(t, q.want, got, q.query)
		}
		for _, number := range []string{"x", "NaN", "Infinity", "-Infinity", "inf", "1_000", "0x", "0x1p1", "1e400", "1,5", "１"} {
			for _, name := range []string{"start_time", "end_time"} {
				a := c.do("GET", "/api/hooks/"+made.ID+"/recent-logs?"+name+"="+url.QueryEscape(number), "")
				assert.Equal(t, 400, a.Status, number)
				assert.Equal(t, "guard.invalid_input", errorCode(t, a), number)
			}
		}
	})
}

func TestRecentLogsAreCountedUpToTheCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClientOf(t, memory.New(memory.Options{MaxEnded: 20_000}))
		made, _ := c.endpoint("User.Created", "")
		events := make([]hooks.Event, 1000)
		for i := range events {
			events[i] = hooks.Event{Tenant: "default", Type: logto.UserCreated}
		}
		trigger := func(n int) {
			_, err := c.TriggerBatch(t.Context(), events[:n]...)
			require.NoError(t, err)
			time.Sleep(time.Minute)
		}
		for range 10 {
			trigger(1000)
		}
		count := func(query string) (total, capped string, rels []string) {
			a := c.do("GET", "/api/hooks/"+made.ID+"/recent-logs?page=2&"+query, "")
			require.Equal(t, 200, a.Status)
			for _, link := range a.Header.Values("Link") {
				_, rel, _ := strings.Cut(link, "; rel=")
				rels = append(rels, strings.Trim(rel, `"`))
			}
			return a.Header.Get("Total-Number"), a.Header.Get("Total-Number-Is-Capped"), rels
		}
		expect := func(query, total, capped string, rels ...string) {
			t.Helper()
			gotTotal, gotCapped, gotRels := count(query)
			assert.Equal(t, []any{total, capped, rels}, []any{gotTotal, gotCapped, gotRels})
		}
		expect("enableCap=yes", "10000", "", "first", "prev", "last", "next")
		trigger(2)
		expect("enableCap=TRUE", "10001", "true", "first", "prev")
		expect("enableCap=no", "10002", "", "first", "prev", "last", "next")
		expect("", "10002", "", "first", "prev", "last", "next")
	})
}

// A log shows what was delivered and the response, but no secrets.
func TestALogIsMasked(t *testing.T) {
	for _, c := range []struct{ value, want string }{
		{`{"a":1,"b":[true,null,"x"]}`, `{"a":1,"b":[true,null,"x"]}`},
		{`{"password":"x","PASS_WORD":1,"pass-word":{"a":1}}`, `{"password":"******","PASS_WORD":"******","pass-word":"******"}`},
		{`{"Authorization":"x","authorizations":"x","x-functions-key":"x"}`, `{"Authorization":"******","authorizations":"x","x-functions-key":"******"}`},
		{`{"token":"x","accessToken":"x","tokens":1,"tokenType":"x"}`, `{"token":"******","accessToken":"******","tokens":1,"tokenType":"x"}`},
		{`{"a":[{"clientSecretKey":"x"},{"b":{"api_key":null}}]}`, `{"a":[{"clientSecretKey":"******"},{"b":{"api_key":"******"}}]}`},
		{`{"privateKeys":1,"credentialId":1,"Set-Cookie":1}`, `{"privateKeys":"******","credentialId":"******","Set-Cookie":"******"}`},
		{`{"passwordVerified":true,"hasPassword":false}`, `{"passwordVerified":true,"hasPassword":false}`},
		{`{"passwordVerified":"x","hasPassword":1}`, `{"passwordVerified":"******","hasPassword":"******"}`},
		{`{"applicationSecret":{"name":"x"}}`, `{"applicationSecret":{"name":"x"}}`},
		{`{"applicationSecret":{"name":"x","value":"y"}}`, `{"applicationSecret":"******"}`},
		{`{"script":1,"getScript":1,"scripts":1,"myEnvironment_Variables":1,"description":1}`, `{"description":1}`},
		{`{"a\u0000b":"c\u0000d"}`, `{"ab":"cd"}`},
		{`{"n":12345678901234567890,"f":1.5}`, `{"n":12345678901234567890,"f":1.5}`},
		{`[{"secret":1}]`, `[{"secret":"******"}]`},
	} {
		synctest.Test(t, func(t *testing.T) {
			client := newClient(t)
			made, _ := client.endpoint("User.Created", "", hookstest.Status(200).Body(c.value))
			client.trigger(hooks.Event{Type: logto.UserCreated, Data: []byte(`{"data":` + c.value + `}`)})
			time.Sleep(time.Second)
			row := client.logs(made.ID, "")[0]
			assert.Equal(t, c.want, string(row.Payload.Response.Body))
			var body map[string]json.RawMessage
			require.NoError(t, json.Unmarshal(row.Payload.HookRequest.Body, &body))
			assert.Equal(t, c.want, string(body["data"]))
		})
	}
}

func TestTheResponseInALog(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{"", `""`}, {"text", `"text"`}, {"null", `"null"`}, {"1", "1"}, {`"x"`, `"x"`}, {`{"a":`, `"{\"a\":"`}, {"a\x00b", `"ab"`},
	} {
		synctest.Test(t, func(t *testing.T) {
			client := newClient(t)
			made, _ := client.endpoint("User.Created", "", hookstest.Status(404).Body(c.body))
			client.trigger(hooks.Event{Type: logto.UserCreated})
			time.Sleep(time.Second)
			row := client.logs(made.ID, "")[0]
			assert.Equal(t, 404, row.Payload.Response.StatusCode)
			assert.Equal(t, c.want, string(row.Payload.Response.Body), c.body)
		})
	}
}

func TestARedeliveryIsAnotherLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		made, _ := c.endpoint("User.Created", "", hookstest.Status(400), hookstest.Status(200))
		c.trigger(hooks.Event{Type: logto.UserCreated})
		time.Sleep(time.Second)
		_, err := c.Replay(t.Context(), hooks.LogQuery{Tenant: "default"})
		require.NoError(t, err)
		time.Sleep(time.Second)
		rows := c.logs(made.ID, "")
		require.Len(t, rows, 2)
		assert.Equal(t, "Success", rows[0].Payload.Result)
		assert.Equal(t, "Error", rows[1].Payload.Result)
		assert.NotEqual(t, rows[0].ID, rows[1].ID)
		assert.Equal(t, rows[0].ID, c.logs(made.ID, "")[0].ID, "an ID stays")
	})
}

func TestStatsOfTheLastDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		made, r := c.endpoint("User.Created", "", hookstest.Status(200))
		idle, _ := c.endpoint("User.Deleted", "")
		for range 2 {
			c.trigger(hooks.Event{Type: logto.UserCreated})
			time.Sleep(13 * time.Hour)
		}
		r.Respond(hookstest.Status(500))
		c.trigger(hooks.Event{Type: logto.UserCreated})
		time.Sleep(time.Minute)
		for yes, wanted := range map[string]bool{
			"1": true, "true": true, "Y": true, "yes": true, "yep": true, "YEAH": true,
			"0": false, "on": false, "ok": false, "t": false, "false": false, "": false, "11": false,
		} {
			query := "?includeExecutionStats=" + url.QueryEscape(yes)
			one := apitest.Want[hook](t, c.do("GET", "/api/hooks/"+made.ID+query, ""), 200)
			list := apitest.Want[[]hook](t, c.do("GET", "/api/hooks"+query, ""), 200)
			require.Len(t, list, 2)
			if !wanted {
				assert.Nil(t, one.ExecutionStats, yes)
				assert.Nil(t, list[0].ExecutionStats, yes)
				continue
			}
			for _, h := range append(list, one) {
				got := fmt.Sprint(*h.ExecutionStats)
				if h.ID == idle.ID {
					assert.Equal(t, "{0 0}", got)
				} else {
					assert.Equal(t, "{1 2}", got, "the retries of a delivery count once")
				}
			}
		}
	})
}

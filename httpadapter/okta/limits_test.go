package okta_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/apitest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/okta"
)

func TestTooManyHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, func(cfg *hooks.Config, _ *okta.Config) { cfg.MaxHooks = 2 })
		c.create(body("a", "a.b", "https://example.com", "", ""))
		c.create(body("b", "a.b", "https://example.com", "", ""))
		a := c.do("POST", path, body("c", "a.b", "https://example.com", "", ""))
		assert.Equal(t, 400, a.Status)
		code, causes := fails(t, a)
		assert.Equal(t, "E0000001", code)
		assert.Equal(t, []string{"There are as many event hooks as there may be"}, causes)
	})
}

// A tenant has four verifications at a time, of which one asks, and a client that
// is refused knows how long to wait.
func TestVerificationsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, func(cfg *hooks.Config, _ *okta.Config) { cfg.MaxInFlight = 4 })
		r := c.network.Receiver(t, "slow.example", hookstest.Hang())
		h := c.create(body("a", "a.b", r.URL, "", ""))
		responses := make([]apitest.Response, 20)
		var group sync.WaitGroup
		for i := range responses {
			group.Go(func() { responses[i] = c.lifecycle(h.ID, "verify") })
		}
		group.Wait()
		failed := 0
		for _, a := range responses {
			code, _ := fails(t, a)
			if code == "E0000001" {
				failed++
				continue
			}
			assert.Equal(t, "E0000047", code)
			assert.Equal(t, 429, a.Status)
			assert.Equal(t, "5", a.Header.Get("Retry-After"))
			date, err := http.ParseTime(a.Header.Get("Date"))
			require.NoError(t, err)
			reset, err := strconv.ParseInt(a.Header.Get("X-Rate-Limit-Reset"), 10, 64)
			require.NoError(t, err)
			assert.Equal(t, 5*time.Second, time.Unix(reset, 0).Sub(date))
		}
		assert.Equal(t, 4, failed)
		requests := r.Requests()
		assert.Len(t, requests, 8, "two challenges for each")
		for i := 1; i < len(requests); i++ {
			assert.Equal(t, 3*time.Second, requests[i].ReceivedAt.Sub(requests[i-1].ReceivedAt), "one after another")
		}
	})
}

// Event types that are there again are none, however many there are.
func TestEventTypesAreASet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		var items []string
		for i := range 300 {
			items = append(items, fmt.Sprint("a.", i))
		}
		again := strings.Repeat(",a.299", 60_000)
		h := c.create(body("a", strings.Join(items, ",")+again, "https://example.com", "", ""))
		assert.Equal(t, items, h.Events.Items)
		code, causes := fails(t, c.do("POST", path, body("b", strings.Join(items, ",")+again+",a.300", "https://example.com", "", "")))
		assert.Equal(t, "E0000001", code)
		assert.Equal(t, []string{"events.items: There may be at most 300 event types"}, causes)
	})
}

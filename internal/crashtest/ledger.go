package crashtest

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
)

// Patience is how long to wait for what ought to happen.
const Patience = 2 * time.Minute

// A Ledger is a receiver that counts what it receives. Its fields may be read when it is
// closed.
type Ledger struct {
	*httptest.Server
	Counts  map[string]int    // requests by event
	Order   []string          // the events, as they came for the first time
	Both    map[[2]string]int // requests by user agent and event
	mu      sync.Mutex
	senders map[string]int // requests by user agent
	changed chan struct{}  // closed and replaced with each request
}

// NewLedger starts a ledger, which ends with the test.
func NewLedger(t testing.TB) *Ledger {
	l := &Ledger{Counts: map[string]int{}, senders: map[string]int{}, Both: map[[2]string]int{}, changed: make(chan struct{})}
	l.Server = httptest.NewServer(l)
	t.Cleanup(l.Close)
	return l
}

// ServeHTTP counts a request.
func (l *Ledger) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	// What a process that is killed sends may not be complete.
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	id, sender := r.Header.Get("webhook-id"), r.Header.Get("User-Agent")
	if l.Counts[id]++; l.Counts[id] == 1 {
		l.Order = append(l.Order, id)
	}
	l.senders[sender]++
	l.Both[[2]string{sender, id}]++
	close(l.changed)
	l.changed = make(chan struct{})
}

// Received returns the number of requests so far, by event.
func (l *Ledger) Received() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.Counts)
}

// WaitFor waits until enough says so, of the requests by sender and of the number of events
// received.
func (l *Ledger) WaitFor(t *testing.T, enough func(senders map[string]int, events int) bool) {
	t.Helper()
	late := time.NewTimer(Patience)
	defer late.Stop()
	for {
		l.mu.Lock()
		senders, events, changed := maps.Clone(l.senders), len(l.Order), l.changed
		l.mu.Unlock()
		if enough(senders, events) {
			return
		}
		select {
		case <-changed:
		case <-late.C:
			require.Fail(t, "this takes too long", "received %d events, by senders: %v", events, senders)
		}
	}
}

// Audit checks what was received against what is stored and was acknowledged.
func (l *Ledger) Audit(t *testing.T, stored []hooks.Delivery, acknowledged []string, o Orphans, kills int) {
	t.Helper()
	l.Complete(t, stored, acknowledged, kills*MaxRepeated)
	for _, d := range stored {
		assert.LessOrEqual(t, l.Counts[d.EventID], d.Attempts+len(o[d.ID]),
			"%s was received too often: %d attempts, and killed with %v", d.EventID, d.Attempts, o[d.ID])
	}
}

// Complete checks that all that was acknowledged is stored, that all that is stored was
// received, and that at most so many requests were repeated.
func (l *Ledger) Complete(t *testing.T, stored []hooks.Delivery, acknowledged []string, repeated int) {
	t.Helper()
	l.Close() // waits for requests of the dead
	require.NotEmpty(t, acknowledged)
	delivered := map[string]bool{}
	for _, d := range stored {
		delivered[d.EventID] = true
		assert.Equal(t, hooks.Succeeded, d.State, d.EventID)
		assert.Positive(t, l.Counts[d.EventID], "%s was not received", d.EventID)
	}
	requests := 0
	for id, n := range l.Counts {
		assert.True(t, delivered[id], "%s was received, but is not stored", id)
		requests += n
	}
	for _, id := range acknowledged {
		assert.True(t, delivered[id], "%s was acknowledged, but is not stored", id)
	}
	assert.LessOrEqual(t, requests-len(l.Counts), repeated)
	t.Logf("%d events acknowledged, %d stored, %d requests", len(acknowledged), len(stored), requests)
}

// Ordered checks that the events of each key were received in their order.
func (l *Ledger) Ordered(t *testing.T) {
	t.Helper()
	last, keyed := map[string]string{}, 0
	for _, id := range l.Order {
		parts := strings.Split(id, "-")
		i, err := strconv.Atoi(parts[len(parts)-1])
		require.NoError(t, err, id)
		if i%8 != 0 {
			continue
		}
		keyed++
		key := strings.Join(parts[1:len(parts)-1], "-")
		assert.Less(t, last[key], id, "the order of their key")
		last[key] = id
	}
	assert.Positive(t, keyed)
}

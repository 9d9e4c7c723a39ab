package hooks

import (
	"math"
	"sync"
)

// A result is a settlement on its way to the store.
type result struct {
	Settlement
	about about
}

// about is what the settler needs to know of a settlement when it is stored.
type about struct {
	*Claimed        // the delivery as it is then, but for EndedAt, and its event
	disable  string // why the endpoint wants its hook disabled
}

// A batch is results for one call of Settle.
type batch struct {
	settlements []Settlement
	about       []about
	size        int // bytes of the responses
}

// results is a queue from the workers to the settler. wait blocks workers while there
// are more than limit results, or their responses have more than maxSize bytes; put
// never blocks.
type results struct {
	limit   int
	maxSize int
	mu      sync.Mutex
	changed sync.Cond
	list    batch
	closed  bool
}

func newResults(limit, maxSize int) *results {
	r := &results{limit: limit, maxSize: maxSize}
	r.changed.L = &r.mu
	return r
}

func (r *results) put(res result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list.settlements = append(r.list.settlements, res.Settlement)
	r.list.about = append(r.list.about, res.about)
	if res.Attempt != nil {
		r.list.size += len(res.Attempt.Response.Body)
	}
	if len(r.list.about) == 1 {
		r.changed.Broadcast()
	}
}

func (r *results) wait() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.list.about) > r.limit || r.list.size > r.maxSize {
		r.changed.Wait()
	}
}

// take waits for results and puts all of them into b, whose memory the queue reuses. It
// returns false when the queue is closed and empty.
func (r *results) take(b *batch) bool {
	clear(b.settlements)
	clear(b.about)
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.list.about) == 0 && !r.closed {
		r.changed.Wait()
	}
	*b, r.list = r.list, batch{settlements: b.settlements[:0], about: b.about[:0]}
	r.changed.Broadcast()
	return len(b.about) > 0
}

// unblock makes wait return at once from now on.
func (r *results) unblock() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limit, r.maxSize = math.MaxInt, math.MaxInt
	r.changed.Broadcast()
}

func (r *results) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.changed.Broadcast()
}

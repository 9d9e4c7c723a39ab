package hooks

import (
	"math"
	"sync"
)

// A result is a settlement on its way to the store.
type result struct {
	Settlement
	subject subject
}

// A subject is what a settlement is about: what the settler needs once it is stored.
type subject struct {
	*Claimed        // the delivery as it is then, except EndedAt, and its event
	disable  string // why the endpoint wants its hook disabled
}

// A resultList has results for one call of Settle: the i-th settlement is about the i-th
// subject.
type resultList struct {
	settlements []Settlement
	subjects    []subject
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
	list    resultList
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
	r.list.subjects = append(r.list.subjects, res.subject)
	if res.Attempt != nil {
		r.list.size += len(res.Attempt.Response.Body)
	}
	if len(r.list.subjects) == 1 {
		r.changed.Broadcast()
	}
}

func (r *results) wait() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.list.subjects) > r.limit || r.list.size > r.maxSize {
		r.changed.Wait()
	}
}

// takeAll waits for results and moves all of them into list, whose memory the queue
// reuses. It returns false when the queue is closed and empty.
func (r *results) takeAll(list *resultList) bool {
	clear(list.settlements)
	clear(list.subjects)
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.list.subjects) == 0 && !r.closed {
		r.changed.Wait()
	}
	*list, r.list = r.list, resultList{settlements: list.settlements[:0], subjects: list.subjects[:0]}
	r.changed.Broadcast()
	return len(list.subjects) > 0
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

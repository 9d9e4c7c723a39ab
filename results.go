package hooks

import (
	"math"
	"sync"
	"time"
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

// results is a queue from the workers to the settler. wait blocks workers while limit
// results or more are not stored, or their responses have more than maxSize bytes; put
// never blocks.
type results struct {
	limit   int
	maxSize int
	mu      sync.Mutex
	changed sync.Cond
	list    resultList
	// storing and storingSize are the number and the size of those that takeAll has
	// returned last.
	storing, storingSize int
	resting              bool // takeAll waits for more.
	closed               bool
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
	if r.resting && r.halfFull() || !r.resting && len(r.list.subjects) == 1 {
		r.changed.Broadcast()
	}
}

func (r *results) halfFull() bool {
	return len(r.list.subjects) >= r.limit/2 || r.list.size >= r.maxSize/2
}

func (r *results) wait() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.list.subjects)+r.storing >= r.limit || r.list.size+r.storingSize > r.maxSize {
		r.changed.Wait()
	}
}

// takeAll waits for results and moves all of them into list, whose memory the queue
// reuses. It first waits for as long as rest says, so that there are more, unless half of
// the limit is reached. It returns false when the queue is closed and empty.
func (r *results) takeAll(list *resultList, rest time.Duration) bool {
	clear(list.settlements)
	clear(list.subjects)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.storing, r.storingSize = 0, 0
	r.changed.Broadcast()
	if rest >= leastRest {
		r.resting = true
		timer := time.AfterFunc(rest, r.endRest)
		defer timer.Stop()
	}
	for !r.closed && (len(r.list.subjects) == 0 || r.resting && !r.halfFull()) {
		r.changed.Wait()
	}
	r.resting = false
	r.storing, r.storingSize = len(r.list.subjects), r.list.size
	*list, r.list = r.list, resultList{settlements: list.settlements[:0], subjects: list.subjects[:0]}
	return len(list.subjects) > 0
}

// leastRest is the shortest rest that is worth a timer.
const leastRest = 50 * time.Microsecond

func (r *results) endRest() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.resting = false
	r.changed.Broadcast()
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

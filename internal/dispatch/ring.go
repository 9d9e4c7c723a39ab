package dispatch

// A ring is a first-in, first-out queue.
type ring[T any] struct {
	slots       []T // a power of two of them
	first, next uint
}

func (r *ring[T]) len() int { return int(r.next - r.first) }

func (r *ring[T]) push(x T) {
	if r.len() == len(r.slots) {
		slots := make([]T, max(4, 2*len(r.slots)))
		for i := range r.len() {
			slots[i] = *r.at(r.first + uint(i))
		}
		r.slots, r.first, r.next = slots, 0, uint(r.len())
	}
	*r.at(r.next) = x
	r.next++
}

func (r *ring[T]) pop() T {
	var none T
	x := *r.at(r.first)
	*r.at(r.first) = none
	r.first++
	return x
}

// peek returns what pop takes next.
func (r *ring[T]) peek() T { return *r.at(r.first) }

func (r *ring[T]) at(i uint) *T { return &r.slots[i&uint(len(r.slots)-1)] }

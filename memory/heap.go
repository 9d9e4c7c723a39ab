package memory

// A heap keeps its least element first. Elements carry their own index, from 1
// while they are in the heap, so that each can be moved and removed.
type heap[T any] struct {
	less  func(a, b *T) bool
	index func(*T) *int
	list  []*T
}

func (h *heap[T]) first() *T {
	if len(h.list) == 0 {
		return nil
	}
	return h.list[0]
}

func (h *heap[T]) push(x *T) {
	h.list = append(h.list, x)
	h.put(len(h.list)-1, x)
	h.up(len(h.list) - 1)
}

// remove removes x, which is in the heap.
func (h *heap[T]) remove(x *T) {
	i, last := *h.index(x)-1, len(h.list)-1
	moved := h.list[last]
	h.list[last] = nil
	h.list = h.list[:last]
	*h.index(x) = 0
	if i < last {
		h.put(i, moved)
		h.fix(moved)
	}
}

// fix moves x to its place after a change.
func (h *heap[T]) fix(x *T) {
	i := *h.index(x) - 1
	h.up(i)
	if *h.index(x)-1 == i {
		h.down(i)
	}
}

func (h *heap[T]) put(i int, x *T) {
	h.list[i] = x
	*h.index(x) = i + 1
}

func (h *heap[T]) swap(i, j int) {
	a, b := h.list[i], h.list[j]
	h.put(i, b)
	h.put(j, a)
}

func (h *heap[T]) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !h.less(h.list[i], h.list[parent]) {
			return
		}
		h.swap(i, parent)
		i = parent
	}
}

func (h *heap[T]) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h.list); child++ {
			if h.less(h.list[child], h.list[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		h.swap(i, least)
		i = least
	}
}

// Package list has a doubly linked list whose elements carry their own links, so that each
// can be moved and removed without a search.
package list

// A List is a list of elements with links that a function finds. It must be made by New.
type List[T any] struct {
	of          func(*T) *Links[T]
	first, last *T
	len         int
}

// Links are what an element carries to be in one List at a time.
type Links[T any] struct {
	prev, next *T
	linked     bool
}

// New returns an empty list. of returns an element's links for this list.
func New[T any](of func(*T) *Links[T]) List[T] { return List[T]{of: of} }

// Len returns the number of elements.
func (l *List[T]) Len() int { return l.len }

// First returns the first element, or nil if there is none.
func (l *List[T]) First() *T { return l.first }

// Next returns the element behind x, or nil if there is none.
func (l *List[T]) Next(x *T) *T { return l.of(x).next }

// Has reports whether x is in the list.
func (l *List[T]) Has(x *T) bool { return l.of(x).linked }

// Push adds x, which must not be in the list, at the end.
func (l *List[T]) Push(x *T) {
	*l.of(x) = Links[T]{prev: l.last, linked: true}
	if l.last != nil {
		l.of(l.last).next = x
	} else {
		l.first = x
	}
	l.last = x
	l.len++
}

// Remove removes x if it is in the list.
func (l *List[T]) Remove(x *T) {
	at := l.of(x)
	if !at.linked {
		return
	}
	if at.prev != nil {
		l.of(at.prev).next = at.next
	} else {
		l.first = at.next
	}
	if at.next != nil {
		l.of(at.next).prev = at.prev
	} else {
		l.last = at.prev
	}
	*at = Links[T]{}
	l.len--
}

// ToEnd moves x, which is in the list, to the end. It returns what came after x, or x if
// nothing did.
func (l *List[T]) ToEnd(x *T) *T {
	after := l.of(x).next
	if after == nil {
		return x
	}
	l.Remove(x)
	l.Push(x)
	return after
}

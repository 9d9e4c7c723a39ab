// Package list has a doubly linked list whose elements carry their own links, so that each
// can be moved and removed without a search.
package list

import "slices"

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
func (l *List[T]) Push(x *T) { l.insert(l.last, x) }

// insert inserts x behind at, or in front if at is nil.
func (l *List[T]) insert(at, x *T) {
	next := l.first
	if at != nil {
		next = l.of(at).next
	}
	*l.of(x) = Links[T]{prev: at, next: next, linked: true}
	if at != nil {
		l.of(at).next = x
	} else {
		l.first = x
	}
	if next != nil {
		l.of(next).prev = x
	} else {
		l.last = x
	}
	l.len++
}

// Merge inserts elements that are sorted into the list, which is sorted in the same order.
func (l *List[T]) Merge(sorted []*T, compare func(a, b *T) int) {
	at := l.last
	for _, x := range slices.Backward(sorted) {
		for at != nil && compare(x, at) < 0 {
			at = l.of(at).prev
		}
		l.insert(at, x)
	}
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

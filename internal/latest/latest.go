// Package latest keeps what was made of the latest of several things.
package latest

import "sync/atomic"

// A Value keeps the value that was made of the latest key, so that who comes next
// with the same key need not make it again. Its zero value is empty. It may be used
// concurrently.
type Value[K comparable, V any] struct{ made atomic.Pointer[made[K, V]] }

type made[K comparable, V any] struct {
	key   K
	value V
}

// Of returns what build makes of the key. It may be called for a key more than once.
func (v *Value[K, V]) Of(key K, build func(K) V) V {
	latest := v.made.Load()
	if latest == nil || latest.key != key {
		latest = &made[K, V]{key, build(key)}
		v.made.Store(latest)
	}
	return latest.value
}

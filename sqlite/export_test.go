//go:build cgo

package sqlite

// OnSync calls f after each transaction for which the Store has waited for the disk.
func (s *Store) OnSync(f func()) {
	next := s.writer.committed
	s.writer.committed = func(operations int) {
		next(operations)
		if s.writer.unsynced.since.IsZero() {
			f()
		}
	}
}

package postgres

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// announceInterval is the least time between two notifications of one process.
	announceInterval = 5 * time.Millisecond
	// pollInterval is how often the listeners are called with Options.Poll.
	pollInterval = 100 * time.Millisecond
	// pingInterval is how often the connection is tried that listens, and pingTimeout how
	// long the server may take to respond.
	pingInterval = 30 * time.Second
	pingTimeout  = 10 * time.Second
	// relistenInterval is the time until the next try to listen.
	relistenInterval = time.Second
)

// An announcer tells other processes that something was written, with NOTIFY: the first time
// at once, then once for all that happens in an interval. It does so after the commit and
// not in the transaction, because transactions with a NOTIFY commit one after the other.
type announcer struct {
	mu    sync.Mutex
	busy  bool // An announcement is under way, or is not long ago.
	again bool
}

// announce tells the listeners of this Store and those of other processes that something
// was written.
func (s *Store) announce() {
	s.listeners.call()
	a := &s.announcer
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.busy {
		a.again = true
		return
	}
	a.busy = s.background(s.announceAll)
}

// announceAll announces as long as there is something new.
func (s *Store) announceAll() {
	a := &s.announcer
	for {
		s.notifyOthers()
		select {
		case <-time.After(announceInterval):
		case <-s.ctx.Done():
		}
		a.mu.Lock()
		if !a.again || s.ctx.Err() != nil {
			a.busy, a.again = false, false
			a.mu.Unlock()
			return
		}
		a.again = false
		a.mu.Unlock()
	}
}

// notifyOthers sends a notification, which need not reach the disk. If it fails, other
// processes find what was written when they poll.
func (s *Store) notifyOthers() {
	ctx, cancel := context.WithTimeout(s.ctx, pingTimeout)
	defer cancel()
	b := &pgx.Batch{}
	b.Queue("SELECT set_config('synchronous_commit', 'off', true)")
	b.Queue("SELECT pg_notify($1::text, $2::text)", s.channel(), strconv.FormatInt(s.process, 10))
	_ = s.pool.SendBatch(ctx, b).Close()
}

// channel is the name of the channel of the database's processes.
func (s *Store) channel() string { return "hooks_" + s.id }

// listeners are the functions that Notify was given.
type listeners struct {
	poll  bool
	mu    sync.Mutex
	wakes map[int]func()
	last  int
	stop  context.CancelFunc // ends the goroutine that listens
}

func (l *listeners) init(poll bool) { l.poll, l.wakes = poll, map[int]func(){} }

// call calls all listeners.
func (l *listeners) call() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, wake := range l.wakes {
		wake()
	}
}

// Notify implements [hooks.Notifier].
func (s *Store) Notify(wake func()) (stop func()) {
	l := &s.listeners
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	name := l.last
	l.wakes[name] = wake
	if l.stop == nil {
		ctx, cancel := context.WithCancel(s.ctx)
		l.stop = cancel
		s.background(func() { s.listen(ctx) })
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.wakes, name)
		if len(l.wakes) == 0 && l.stop != nil {
			l.stop()
			l.stop = nil
		}
	}
}

// listen calls the listeners when another process has written, until ctx ends.
func (s *Store) listen(ctx context.Context) {
	for ctx.Err() == nil {
		wait := pollInterval
		if !s.listeners.poll {
			_ = s.listenOnce(ctx) // What is wrong shows in the Manager's own calls, too.
			wait = relistenInterval
		}
		select {
		case <-time.After(wait):
			s.listeners.call()
		case <-ctx.Done():
		}
	}
}

// listenOnce listens on a connection until it fails.
func (s *Store) listenOnce(ctx context.Context) error {
	pooled, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	conn := pooled.Hijack() // It is not one that others get.
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing)
	}()
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{s.channel()}.Sanitize()); err != nil {
		return err
	}
	s.listeners.call() // for what was written before
	for {
		waiting, cancel := context.WithTimeout(ctx, pingInterval)
		n, err := conn.WaitForNotification(waiting)
		late := waiting.Err() != nil
		cancel()
		switch {
		case err == nil:
			if n.Payload != strconv.FormatInt(s.process, 10) {
				s.listeners.call()
			}
			continue
		case ctx.Err() != nil || !late || conn.IsClosed():
			return err
		}
		pinging, cancel := context.WithTimeout(ctx, pingTimeout)
		err = conn.Ping(pinging)
		cancel()
		if err != nil {
			return err
		}
	}
}

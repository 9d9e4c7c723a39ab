package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	_ "github.com/mattn/go-sqlite3" // the driver that backlite's documentation opens
	"github.com/mikestefanello/backlite"
)

const backliteWorkers = 1000

var backliteEntry = entry{
	name: "backlite", keeps: "all, but for a loss of power", backlog: 0.1, triggered: 0.08,
	configuration: "1,000 workers and one connection, with which it is several times quicker than with more; else as its README has it: `mattn/go-sqlite3` with `_journal=WAL&_timeout=5000`, which means synchronous NORMAL, and completed tasks retained without their data.",
	open:          openBacklite,
}

// backliteTask is the work: a body to sign and post.
type backliteTask struct {
	ID   string
	Body json.RawMessage
}

func (backliteTask) Config() backlite.QueueConfig {
	return backlite.QueueConfig{
		Name: "deliver", MaxAttempts: 5, Backoff: 5 * time.Second, Timeout: 10 * time.Second,
		Retention: &backlite.Retention{Duration: 6 * time.Hour, Data: &backlite.RetainData{OnlyFailed: true}},
	}
}

// backliteQueue delivers by tasks of backlite.
type backliteQueue struct {
	setting
	db        *sql.DB
	poster    *poster
	client    *backlite.Client
	added     atomic.Int64
	posted    atomic.Int64
	cancel    context.CancelFunc
	confirmed chan struct{} // closed when confirm has ended
}

func openBacklite(_ context.Context, s setting) (contender, error) {
	db, err := sql.Open("sqlite3", filepath.Join(s.dir, "backlite.db")+"?_journal=WAL&_timeout=5000")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	p, err := newPoster(s.url, backliteWorkers)
	if err != nil {
		return nil, err
	}
	q := &backliteQueue{setting: s, db: db, poster: p}
	if err := q.renew(); err != nil {
		return nil, err
	}
	return q, q.client.Install()
}

// renew makes a client, for one can be started once.
func (q *backliteQueue) renew() (err error) {
	q.client, err = backlite.NewClient(backlite.ClientConfig{
		DB: q.db, Logger: backliteLogger{q.tally},
		NumWorkers: backliteWorkers, ReleaseAfter: 10 * time.Minute, CleanupInterval: time.Hour,
	})
	if err != nil {
		return err
	}
	q.client.Register(backlite.NewQueue(func(ctx context.Context, t backliteTask) error {
		defer q.posted.Add(1)
		return q.poster.post(ctx, t.ID, t.Body)
	}))
	return nil
}

// task makes the next task.
func (q *backliteQueue) task(data []byte) backlite.Task {
	return backliteTask{strconv.FormatInt(q.added.Add(1), 10), newBody(data)}
}

func (q *backliteQueue) Store(_ context.Context, n int) error {
	tasks, data := make([]backlite.Task, n), newData()
	for i := range tasks {
		tasks[i] = q.task(data)
	}
	for batch := range slices.Chunk(tasks, 500) {
		if _, err := q.client.Add(batch...).Save(); err != nil {
			return err
		}
	}
	return nil
}

func (q *backliteQueue) Start(ctx context.Context) error {
	ctx, q.cancel = context.WithCancel(ctx)
	q.confirmed = make(chan struct{})
	go func() {
		defer close(q.confirmed)
		if err := q.confirm(ctx); err != nil && ctx.Err() == nil {
			q.tally.fail(err)
		}
	}()
	q.client.Start(ctx)
	return nil
}

// confirm tells the tally of tasks that are done. backlite does not say when a
// task is marked so: it is when all tasks have been posted and their table is
// empty.
func (q *backliteQueue) confirm(ctx context.Context) error {
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	told := q.posted.Load()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		posted := q.posted.Load()
		if posted == told || posted != q.added.Load() {
			continue
		}
		var open bool
		if err := q.db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM backlite_tasks)").Scan(&open); err != nil {
			return err
		}
		if !open && posted == q.added.Load() {
			q.tally.done(int(posted - told))
			told = posted
		}
	}
}

func (q *backliteQueue) Trigger(ctx context.Context, data []byte) error {
	_, err := q.client.Add(q.task(data)).Ctx(ctx).Save()
	return err
}

func (q *backliteQueue) Stop(ctx context.Context) error {
	stopped := q.client.Stop(ctx)
	q.cancel()
	<-q.confirmed
	if !stopped {
		return errors.New("backlite did not stop")
	}
	return q.renew()
}

func (q *backliteQueue) Close(context.Context) (int64, error) {
	q.poster.transport.CloseIdleConnections()
	if err := q.db.Close(); err != nil {
		return 0, err
	}
	return sizeOf(q.dir)
}

// backliteLogger learns of failures, which backlite tells its log alone.
type backliteLogger struct{ tally *tally }

func (backliteLogger) Info(string, ...any) {}

func (l backliteLogger) Error(message string, params ...any) {
	l.tally.fail(fmt.Errorf("backlite: %s %v", message, params))
}

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivermigrate"
)

// The configuration is the same for both databases: that of River's own
// benchmark, `river bench`, but for the number of workers.
const (
	riverConfiguration = "500 workers, else as in `river bench`: fetch cooldown 2 ms, poll interval 20 ms; `InsertManyFast` for the backlog, `Insert` for a caller. It marks the last jobs of a run done up to 250 ms after the others"
	riverWorkers       = 500
	riverBatch         = 5_000 // jobs, as in `river bench`
)

// riverJob is the work: a body to sign and post.
type riverJob struct {
	Body string `json:"body"` // As JSON within JSON it would come out different.
}

func (riverJob) Kind() string { return "deliver" }

type riverWorker struct {
	river.WorkerDefaults[riverJob]
	poster *poster
}

func (w *riverWorker) Work(ctx context.Context, job *river.Job[riverJob]) error {
	return w.poster.post(ctx, strconv.FormatInt(job.ID, 10), []byte(job.Args.Body))
}

// A riverQueue delivers by jobs of River, in either database.
type riverQueue[Tx any] struct {
	setting
	driver riverdriver.Driver[Tx]
	poster *poster
	client *river.Client[Tx]
	disk   func(context.Context) (int64, error) // closes the database
}

func newRiverQueue[Tx any](
	ctx context.Context, s setting, driver riverdriver.Driver[Tx], disk func(context.Context) (int64, error),
) (*riverQueue[Tx], error) {
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: riverLogger})
	if err != nil {
		return nil, err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, err
	}
	p, err := newPoster(s.url, riverWorkers)
	if err != nil {
		return nil, err
	}
	q := &riverQueue[Tx]{setting: s, driver: driver, poster: p, disk: disk}
	return q, q.renew()
}

var riverLogger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))

// renew makes a client, for one can be started once.
func (q *riverQueue[Tx]) renew() (err error) {
	workers := river.NewWorkers()
	river.AddWorker(workers, &riverWorker{poster: q.poster})
	q.client, err = river.NewClient(q.driver, &river.Config{
		FetchCooldown: 2 * time.Millisecond, FetchPollInterval: 20 * time.Millisecond,
		Queues:  map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: riverWorkers}},
		Workers: workers, Logger: riverLogger,
	})
	return err
}

func (q *riverQueue[Tx]) Store(ctx context.Context, n int) error {
	job := river.InsertManyParams{Args: riverJob{string(newBody(newData()))}}
	for batch := range slices.Chunk(slices.Repeat([]river.InsertManyParams{job}, n), riverBatch) {
		if _, err := q.client.InsertManyFast(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

func (q *riverQueue[Tx]) Start(ctx context.Context) error {
	events, _ := q.client.SubscribeConfig(&river.SubscribeConfig{
		ChanSize: 75_000, // As in `river bench`: what finds no room is dropped.
		Kinds:    []river.EventKind{river.EventKindJobCompleted, river.EventKindJobFailed, river.EventKindJobCancelled},
	})
	go func() { // until the client stops
		for event := range events {
			if event.Kind != river.EventKindJobCompleted {
				q.tally.fail(fmt.Errorf("%s: %v", event.Kind, event.Job.Errors))
			}
			q.tally.done(1)
		}
	}()
	return q.client.Start(ctx)
}

func (q *riverQueue[Tx]) Trigger(ctx context.Context, data []byte) error {
	_, err := q.client.Insert(ctx, riverJob{string(newBody(data))}, nil)
	return err
}

func (q *riverQueue[Tx]) Stop(ctx context.Context) error {
	return errors.Join(q.client.Stop(ctx), q.renew())
}

func (q *riverQueue[Tx]) Close(ctx context.Context) (int64, error) {
	q.poster.transport.CloseIdleConnections()
	return q.disk(ctx)
}

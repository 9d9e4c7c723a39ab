// Quickstart sends webhooks to three endpoints on this machine: one that is
// healthy, one that is flaky, and one that hangs. It prints each attempt as it
// happens, and then what the statistics and the log say. It checks all that:
// if anything is not as expected, it says what, and exits with 1.
//
//	go run ./examples/quickstart
//
// Hooks, events and the log are in a SQLite database, in a temporary file. To
// look into it afterwards, name a file that does not exist yet:
//
//	go run ./examples/quickstart hooks.db
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

// A partner is a hook, how its endpoint responds, and what is to come of it.
type partner struct {
	hook      hooks.Hook
	responses []int
	want      result
	endpoint  *endpoint
}

// A result is what statistics, log and endpoint count.
type result struct{ deliveries, successes, failures, attempts, signatures int }

// partners have schedules for the impatient: the default one takes three days.
func partners() []*partner {
	return []*partner{{
		// The filter keeps one of the three events away.
		hook:      hooks.Hook{ID: "healthy", Events: []string{"order.*"}, Filter: "data.total >= 100"},
		responses: []int{200},
		want:      result{deliveries: 2, successes: 2, attempts: 2, signatures: 2},
	}, {
		hook:      hooks.Hook{ID: "flaky", Events: []string{"order.*"}, Schedule: hooks.Retries(time.Second/5, time.Second/2)},
		responses: []int{503, 503, 200},
		want:      result{deliveries: 3, successes: 3, attempts: 9, signatures: 9},
	}, {
		hook:      hooks.Hook{ID: "hanging", Events: []string{"order.cancelled"}, Timeout: time.Second, Schedule: hooks.Retries(time.Second / 2)},
		responses: []int{0},
		want:      result{deliveries: 1, failures: 1, attempts: 2, signatures: 2},
	}}
}

func main() {
	if err := quickstart(); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
	fmt.Println("\nAll as expected.")
}

// quickstart does what an application does: it opens a store, makes a Manager, runs it,
// registers hooks, triggers events, stops, and reads back what happened.
func quickstart() (err error) {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	dir, err := os.MkdirTemp("", "quickstart")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "hooks.db")
	if len(os.Args) > 1 {
		path = os.Args[1]
	}
	store, err := sqlite.Open(ctx, path, sqlite.Options{}) // the one line to change for another store
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }() // when Run has returned, and all is read

	ended := make(chan struct{}, 100) // one for each delivery
	m, err := hooks.New(store, hooks.Config{
		// The endpoints are on this machine and have no TLS. Without
		// these two, hooks must be public, with TLS.
		AllowNetworks: []string{"127.0.0.0/8"},
		AllowHTTP:     true,
		Observer: hooks.Observer{
			Attempt: func(_ hooks.Delivery, a hooks.Attempt, _ *hooks.Event) { printAttempt(a) },
			Ended:   func(hooks.Delivery, *hooks.Event) { ended <- struct{}{} },
		},
	})
	if err != nil {
		return err
	}

	// Run delivers until its context ends. Then it lets the requests under way
	// finish, and returns.
	running, stop := context.WithCancel(ctx)
	defer stop()
	stopped := make(chan error, 1)
	go func() { stopped <- m.Run(running) }()

	all := partners()
	err = deliver(ctx, m, all, ended)
	stop()
	if err := errors.Join(err, <-stopped); err != nil {
		return err
	}
	return report(ctx, m, all)
}

// deliver registers the hooks, triggers events, and waits until each delivery
// has ended.
func deliver(ctx context.Context, m *hooks.Manager, all []*partner, ended <-chan struct{}) error {
	for _, p := range all {
		secret := hooks.NewSecret() // shared with the partner, who verifies signatures with it
		var err error
		if p.endpoint, err = startEndpoint(string(secret), p.responses); err != nil {
			return err
		}
		p.hook.URL, p.hook.Secrets = p.endpoint.url, []hooks.SigningSecret{{Secret: secret}}
		if _, err := m.Register(ctx, p.hook); err != nil {
			return err
		}
	}

	fmt.Printf("%-22s %-8s %7s  %-24s %8s  %s\n", "EVENT", "HOOK", "ATTEMPT", "STATUS", "LATENCY", "NEXT")
	open := 0
	for _, e := range []hooks.Event{
		{ID: "evt_1", Type: "order.created", Data: []byte(`{"order": 42, "total": 250}`)},
		{ID: "evt_2", Type: "order.created", Data: []byte(`{"order": 43, "total": 20}`)},
		{ID: "evt_3", Type: "order.cancelled", Data: []byte(`{"order": 42, "total": 250}`)},
	} {
		receipt, err := m.Trigger(ctx, e)
		if err != nil {
			return err
		}
		open += receipt.Deliveries
	}

	ctx, cancel := context.WithTimeout(ctx, 8*time.Second)
	defer cancel()
	for ; open > 0; open-- {
		select {
		case <-ended:
		case <-ctx.Done():
			return fmt.Errorf("%d deliveries have not ended: %w", open, ctx.Err())
		}
	}
	return nil
}

func printAttempt(a hooks.Attempt) {
	status := string(a.Class) // why there is no response
	if code := a.Response.Status; code != 0 {
		status = strconv.Itoa(code) + " " + http.StatusText(code)
	}
	next := string(a.State)
	if a.State == hooks.Pending {
		next = fmt.Sprintf("retry in %d ms", time.Until(a.NextAt).Milliseconds())
	}
	fmt.Printf("%-22s %-8s %7d  %-24s %5d ms  %s\n",
		a.EventID+" "+a.EventType, a.HookID, a.Number, status, a.Duration.Milliseconds(), next)
}

// report prints statistics and log, and compares them with what was wanted.
func report(ctx context.Context, m *hooks.Manager, all []*partner) error {
	fmt.Println("\nHOOK     DELIVERIES SUCCESSES FAILURES ATTEMPTS SIGNATURES  LAST IN THE LOG")
	var differences []error
	for _, p := range all {
		id := p.hook.ID
		stats, err := m.Stats(ctx, "", time.Time{}, time.Time{}, id) // of the last 24 hours
		if err != nil {
			return err
		}
		log, err := m.Logs(ctx, hooks.LogQuery{HookID: id}) // the latest attempt first
		if err != nil {
			return err
		}
		got := result{stats[id].Deliveries, stats[id].Successes, stats[id].Failures, len(log.Items), p.endpoint.signatures()}
		if got != p.want {
			differences = append(differences, fmt.Errorf("hook %s: got %+v, want %+v", id, got, p.want))
			continue
		}
		last := log.Items[0]
		fmt.Printf("%-8s %10d %9d %8d %8d %7d ok  %s %s\n", id, got.deliveries, got.successes, got.failures,
			got.attempts, got.signatures, last.StartedAt.Local().Format(time.TimeOnly), cmp.Or(last.Error, string(last.State)))
	}
	return errors.Join(differences...)
}

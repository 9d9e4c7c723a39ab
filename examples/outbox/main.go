// Outbox is a shop that keeps its orders and its hooks in one database, of SQLite or of
// PostgreSQL.
// An order and the event that tells of it are committed in one transaction, so
// that a partner hears of each order that was paid and of no other; see
// shop.place.
//
// The program posts an order, one that is declined, and the first one again. It
// prints what happens and checks it: if anything is not as expected, it says
// what, and exits with 1.
//
//	go run ./examples/outbox [-store postgres://…]
//
// Without -store, the database is a file of SQLite that is removed at the end. A database of
// PostgreSQL must have none of its tables yet.
package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

func main() {
	store := flag.String("store", "", "the `URL` of a PostgreSQL database (default: a file of SQLite)")
	flag.Parse()
	if err := outbox(*store); err != nil {
		fmt.Fprintln(os.Stderr, "outbox:", err)
		os.Exit(1)
	}
	fmt.Println("\nAll as expected.")
}

// outbox sets up the database, the Manager and both servers, runs them while
// orders are placed, and checks what has become of the orders.
func outbox(url string) (err error) {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	open := openSQLite
	if url != "" {
		open = func(ctx context.Context) (*database, error) { return openPostgres(ctx, url) }
	}
	database, err := open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, database.close()) }()
	db := database.DB
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return err
	}
	attempts := make(chan hooks.Attempt, 100)
	m, err := hooks.New(database.store, hooks.Config{
		AllowHTTP: true, AllowNetworks: []string{"127.0.0.0/8"}, // for endpoints on this machine
		Observer: hooks.Observer{Attempt: func(_ hooks.Delivery, a hooks.Attempt, _ *hooks.Event) { attempts <- a }},
	})
	if err != nil {
		return err
	}

	secret := hooks.NewSecret() // shared with the partner, who verifies signatures with it
	p, err := newPartner(string(secret))
	if err != nil {
		return err
	}
	partnerURL, err := serve("POST /webhooks", p)
	if err != nil {
		return err
	}
	shopURL, err := serve("POST /orders", &shop{db: db, tx: database.tx, hooks: m})
	if err != nil {
		return err
	}
	_, err = m.Register(ctx, hooks.Hook{
		URL: partnerURL + "/webhooks", Events: []string{"order.*"}, Secrets: []hooks.SigningSecret{{Secret: secret}},
	})
	if err != nil {
		return err
	}

	running, stop := context.WithCancel(ctx)
	defer stop()
	stopped := make(chan error, 1)
	go func() { stopped <- m.Run(running) }()
	err = placeOrders(ctx, shopURL+"/orders", attempts)
	stop()
	if err := errors.Join(err, <-stopped); err != nil {
		return err
	}
	return check(ctx, db, m, p)
}

// serve responds to requests on loopback until the program ends.
func serve(pattern string, h http.Handler) (url string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	mux := http.NewServeMux()
	mux.Handle(pattern, h)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(l) }()
	return "http://" + l.Addr().String(), nil
}

// placeOrders posts orders. After one that is taken, it waits for the webhook.
func placeOrders(ctx context.Context, url string, attempts <-chan hooks.Attempt) error {
	ctx, cancel := context.WithTimeout(ctx, 8*time.Second)
	defer cancel()
	for _, step := range []struct {
		order string
		want  int
	}{
		{`{"id": 42, "total": 250}`, http.StatusCreated},
		{`{"id": 43, "total": 5000}`, http.StatusPaymentRequired}, // is rolled back
		{`{"id": 42, "total": 250}`, http.StatusConflict},
	} {
		status, response, err := post(ctx, url, step.order)
		if err != nil {
			return err
		}
		fmt.Printf("POST /orders %s\n  %d %s\n", step.order, status, cmp.Or(response, "created"))
		if status != step.want {
			return fmt.Errorf("order %s: got %d, want %d", step.order, status, step.want)
		}
		if status != http.StatusCreated {
			continue
		}
		select {
		case a := <-attempts:
			fmt.Printf("  webhook %s %s\n", a.EventID, cmp.Or(a.Error, string(a.State)))
		case <-ctx.Done():
			return fmt.Errorf("order %s: no webhook was sent: %w", step.order, ctx.Err())
		}
	}
	return nil
}

func post(ctx context.Context, url, order string) (status int, response string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(order))
	if err != nil {
		return 0, "", err
	}
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = w.Body.Close() }()
	body, err := io.ReadAll(w.Body)
	return w.StatusCode, strings.TrimSpace(string(body)), err
}

// check compares the application's tables, what the partner received, and the log with
// what is to be in them. Nothing is on its way any more, for Run has returned.
func check(ctx context.Context, db *sql.DB, m *hooks.Manager, p *partner) error {
	var count, order, balance int64
	const read = "SELECT count(*), max(id), (SELECT balance FROM account) FROM orders"
	if err := db.QueryRowContext(ctx, read).Scan(&count, &order, &balance); err != nil {
		return err
	}
	var received, deliveries, attempts []string
	for len(p.received) > 0 {
		received = append(received, <-p.received)
	}
	for d, err := range m.AllDeliveries(ctx, hooks.LogQuery{}) {
		if err != nil {
			return err
		}
		deliveries = append(deliveries, d.EventID+" "+string(d.State))
	}
	for a, err := range m.AllLogs(ctx, hooks.LogQuery{}) {
		if err != nil {
			return err
		}
		attempts = append(attempts, fmt.Sprintf("%s %d", a.EventID, a.Response.Status))
	}

	fmt.Println()
	var differences []error
	for _, c := range []struct{ name, got, want string }{
		{"orders", fmt.Sprint(count), "1"},
		{"order", fmt.Sprint(order), "42"},
		{"balance", fmt.Sprint(balance), "750"},
		{"received", strings.Join(received, ", "), "order-42-paid"},
		{"deliveries", strings.Join(deliveries, ", "), "order-42-paid succeeded"},
		{"attempts", strings.Join(attempts, ", "), "order-42-paid 204"},
	} {
		fmt.Printf("%-10s  %s\n", c.name, c.got)
		if c.got != c.want {
			differences = append(differences, fmt.Errorf("%s: got %q, want %q", c.name, c.got, c.want))
		}
	}
	return errors.Join(differences...)
}

// Server is an application that mounts every REST API of httpadapter, and
// takes events by HTTP.
//
//	HOOKS_TOKEN=T go run ./examples/server [-addr 127.0.0.1:8080] [-store sqlite:hooks.db|postgres://…|memory] [-dev]
//
// All requests need the token: that of the environment variable HOOKS_TOKEN, or one
// that the server makes and prints. (-token takes it as well, but other users of the
// machine see arguments in the list of processes.) The server prints its address when
// it is ready. -dev allows endpoints on this machine and without TLS, which are
// refused otherwise. To try it, with HOOKS_TOKEN=T, -dev, and something that listens
// on port 9000:
//
//	curl -H 'Authorization: Bearer T' -H 'Content-Type: application/json' http://127.0.0.1:8080/api/hooks \
//		-d '{"name":"demo","events":["User.Created"],"config":{"url":"http://127.0.0.1:9000"}}'
//	curl -H 'Authorization: Bearer T' http://127.0.0.1:8080/trigger -d '{"type":"User.Created","data":{"data":{"id":"u1"}}}'
//	curl -H 'Authorization: Bearer T' 'http://127.0.0.1:8080/api/hooks?includeExecutionStats=true'
//
// Clients of Okta's API say "SSWS" instead of "Bearer". Those of Webitel's may put the
// token into X-Access-Token, or into the query as access_token.
//
// The APIs:
//
//	/api/hooks           Logto's hooks, of the tenant "default"
//	/api/v1/eventHooks   Okta's event hooks, of the tenant "default"
//	/api/v2/hooks        Webitel's hooks, of the tenant that the parameter "domain" names
//	POST /trigger        {"id"?, "type", "tenant"?, "orderingKey"?, "data"?} records an event: 202 {"id", "deliveries"}
//	GET /healthz         says whether the store can be read
//
// SIGTERM and SIGINT let the requests under way end, and then it.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/logto"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/okta"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/webitel"
	"github.com/seed-2c6e3a5a/hooks/memory"
	"github.com/seed-2c6e3a5a/hooks/postgres"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

type options struct {
	addr, store, token string
	dev                bool
}

func main() {
	var o options
	flag.StringVar(&o.addr, "addr", "127.0.0.1:8080", "the `address` to listen on")
	flag.StringVar(&o.store, "store", "sqlite:hooks.db", `where to keep the data: "sqlite:FILE", "postgres://…" or "memory"`)
	flag.StringVar(&o.token, "token", "", "what requests have to show; others see it in the list of processes (default: $HOOKS_TOKEN, or one is made and printed)")
	flag.BoolVar(&o.dev, "dev", false, "allow endpoints on this machine and without TLS")
	flag.Parse()
	o.token = cmp.Or(o.token, os.Getenv("HOOKS_TOKEN"))
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "server: unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err := run(o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

// run serves until a signal says that it is enough.
func run(o options, out io.Writer) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	store, closeStore, err := open(ctx, o.store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()
	cfg := hooks.Config{Protocols: []hooks.Protocol{&logto.Protocol{}, &okta.Protocol{}, &webitel.Protocol{}}}
	if o.dev {
		cfg.AllowHTTP, cfg.AllowNetworks = true, []string{"127.0.0.0/8", "::1"}
	}
	m, err := hooks.New(store, cfg)
	if err != nil {
		return err
	}
	if o.token == "" {
		o.token = rand.Text()
		_, _ = fmt.Fprintln(out, "token:", o.token)
	}
	handler, err := newHandler(m, o.token)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.addr)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "listening on http://%s\n", listener.Addr())
	return serve(ctx, m, listener, handler)
}

// open opens the store that the flag names.
func open(ctx context.Context, name string) (hooks.Store, func() error, error) {
	if name == "memory" {
		return memory.New(memory.Options{}), func() error { return nil }, nil
	}
	if strings.HasPrefix(name, "postgres://") || strings.HasPrefix(name, "postgresql://") {
		return openPostgres(ctx, name)
	}
	file, ok := strings.CutPrefix(name, "sqlite:")
	if !ok || file == "" {
		// The name may be a URL with a password.
		return nil, nil, errors.New(`-store must be "sqlite:FILE", "postgres://…" or "memory"`)
	}
	store, err := sqlite.Open(ctx, file, sqlite.Options{})
	if err != nil {
		return nil, nil, err
	}
	return store, store.Close, nil
}

// openPostgres opens a store in a PostgreSQL database, whose tables it brings up to date.
func openPostgres(ctx context.Context, url string) (hooks.Store, func() error, error) {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return nil, nil, err
	}
	err = postgres.Migrate(ctx, pool, "")
	var store *postgres.Store
	if err == nil {
		store, err = postgres.New(ctx, pool, postgres.Options{})
	}
	if err != nil {
		pool.Close()
		return nil, nil, err
	}
	return store, func() error {
		defer pool.Close()
		return store.Close()
	}, nil
}

// serve delivers and responds until ctx ends. Then no request is taken any more,
// those under way end, and after that the deliveries under way end.
func serve(ctx context.Context, m *hooks.Manager, listener net.Listener, handler http.Handler) error {
	delivering, stopDelivering := context.WithCancel(context.WithoutCancel(ctx))
	defer stopDelivering()
	delivered := make(chan error, 1)
	go func() { delivered <- m.Run(delivering) }()

	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      2 * time.Minute, // A test of an endpoint that hangs, with its retries.
		IdleTimeout:       2 * time.Minute,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	var err error
	select {
	case err = <-served:
	case err = <-delivered:
		delivered <- nil
	case <-ctx.Done():
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	err = errors.Join(err, server.Shutdown(limited))
	stopDelivering()
	return errors.Join(err, <-delivered)
}

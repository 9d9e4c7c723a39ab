package main

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
)

// maxGoroutines bounds the requests under way, so that no more connections are
// opened than there are ports and files.
const maxGoroutines = 4096

var defaultGoroutinesEntry = entry{
	name: "goroutines with default client", keeps: "nothing", triggered: 0.3,
	configuration: "each trigger starts a goroutine that posts by `http.DefaultClient`, which keeps 2 connections open. At most 4,096 at a time, for want of ports and files.",
	open: func(_ context.Context, s setting) (contender, error) {
		return newGoroutines(s, http.DefaultClient), nil
	},
}

var tunedGoroutinesEntry = entry{
	name: "goroutines with tuned client", keeps: "nothing", triggered: 0.6,
	configuration: "the same by a client that keeps all its connections open.",
	open: func(_ context.Context, s setting) (contender, error) {
		return newGoroutines(s, &http.Client{Transport: newTransport(maxGoroutines)}), nil
	},
}

// goroutines deliver each event by a goroutine of its own, and keep nothing.
type goroutines struct {
	setting
	client *http.Client
	signer *signer
	places chan struct{}
	group  sync.WaitGroup
	next   atomic.Int64
}

func newGoroutines(s setting, c *http.Client) *goroutines {
	return &goroutines{setting: s, client: c, signer: newSigner(), places: make(chan struct{}, maxGoroutines)}
}

func (g *goroutines) Store(context.Context, int) error {
	return errors.New("goroutines store nothing")
}

func (g *goroutines) Start(context.Context) error { return nil }

func (g *goroutines) Trigger(ctx context.Context, data []byte) error {
	g.places <- struct{}{}
	g.group.Go(func() {
		defer func() { <-g.places }()
		id := strconv.FormatInt(g.next.Add(1), 10)
		if err := postWith(ctx, g.client, g.signer, g.url, id, newBody(data)); err != nil {
			g.tally.fail(err)
			return
		}
		g.tally.done(1)
	})
	return nil
}

func (g *goroutines) Stop(context.Context) error {
	g.group.Wait()
	return nil
}

func (g *goroutines) Close(context.Context) (int64, error) {
	g.client.CloseIdleConnections()
	return 0, nil
}

package main

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
)

var bareLoopEntry = entry{
	name: bareLoop, keeps: "nothing", backlog: 1,
	configuration: "64 goroutines, each of which signs and posts one body after another. It calls the transport directly, like the engine of hooks does.",
	open: func(_ context.Context, s setting) (contender, error) {
		p, err := newPoster(s.url, inFlight)
		if err != nil {
			return nil, err
		}
		return &bare{tally: s.tally, post: p.post, close: p.transport.CloseIdleConnections}, nil
	},
}

var bareClientEntry = entry{
	name: bareClient, keeps: "nothing", backlog: 0.8,
	configuration: "the same with `http.NewRequest` and `http.Client.Do`, on the same transport.",
	open: func(_ context.Context, s setting) (contender, error) {
		client, signer := &http.Client{Transport: newTransport(inFlight)}, newSigner()
		post := func(ctx context.Context, id string, body []byte) error {
			return postWith(ctx, client, signer, s.url, id, body)
		}
		return &bare{tally: s.tally, post: post, close: client.CloseIdleConnections}, nil
	},
}

// A bare loop posts the same body again and again.
type bare struct {
	tally *tally
	post  func(ctx context.Context, id string, body []byte) error
	close func()
	group sync.WaitGroup
	count int
}

func (b *bare) Store(_ context.Context, n int) error {
	b.count = n
	return nil
}

func (b *bare) Start(ctx context.Context) error {
	body := newBody(newData())
	var next atomic.Int64
	for range inFlight {
		b.group.Go(func() {
			for i := next.Add(1); i <= int64(b.count); i = next.Add(1) {
				if err := b.post(ctx, strconv.FormatInt(i, 10), body); err != nil {
					b.tally.fail(err)
					return
				}
				b.tally.done(1)
			}
		})
	}
	return nil
}

func (b *bare) Trigger(context.Context, []byte) error {
	return errors.New("a bare loop has no trigger")
}

func (b *bare) Stop(context.Context) error {
	b.group.Wait()
	return nil
}

func (b *bare) Close(context.Context) (int64, error) {
	b.close()
	return 0, nil
}

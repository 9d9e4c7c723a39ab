// Bench measures how fast hooks delivers, in rates of a bare loop that posts
// the same requests and keeps nothing, and next to other ways to do the same
// work: an event is stored durably, posted to an endpoint, and marked done.
//
//	go run . [-time 3m] [-passes 3] [-json FILE] [-only NAME,…] [-dir DIR] [-sync 2ms] [-explain]
//
// With -only neighbours, it measures instead how long the deliveries of one
// tenant take, alone and beside each of several attackers:
//
//	go run . -only neighbours[,ATTACKER,…] [-each 12s] [-store memory|sqlite|postgres] [-json FILE] [-dir DIR]
//
// It prints tables in Markdown. Each measurement is made by a process of its
// own, which posts to a receiver in another; all of them are this program,
// started again. It needs Linux, a C compiler, and nothing but loopback; with
// the programs of PostgreSQL on the PATH it starts a server for itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// The roles that this program is started again in; it is the only argument.
const (
	roleReceiver  = "receive-for-bench"
	roleSender    = "send-for-bench"
	roleNeighbour = "neighbour-for-bench"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) == 2 {
		switch os.Args[1] {
		case roleReceiver:
			return receive()
		case roleSender:
			return work(measure)
		case roleNeighbour:
			return work(measureNeighbour)
		}
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	o, err := parseOptions(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	return bench(ctx, o)
}

package hooks_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/memory"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

// The benchmarks deliver to a receiver in a process of its own, which is this
// test binary started again, and compare with a bare loop: a tuned net/http
// client that posts the same signed body at the same concurrency. Each pass
// measures both, so that the ratio holds when the machine's speed drifts.

const receiverVariable = "HOOKS_BENCH_RECEIVER"

func TestMain(m *testing.M) {
	if os.Getenv(receiverVariable) != "" {
		receiveUntilClosed()
		return
	}
	os.Exit(m.Run())
}

// receiveUntilClosed responds to every request with 200 until its standard input ends.
func receiveUntilClosed() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("http://" + l.Addr().String())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
}

func startReceiver(b *testing.B) string {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), receiverVariable+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(url)
}

// oneKiB is event data that makes a body of 1 KiB.
var oneKiB = []byte(`{"text":"` + strings.Repeat("x", 1024-75-11) + `"}`)

const benchInFlight = 64

// bareLoop posts n signed bodies and returns how long it took.
func bareLoop(b *testing.B, url string, n int) time.Duration {
	b.Helper()
	key := []byte("a key of thirty-two bytes, or so")
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: benchInFlight, DisableCompression: true}}
	defer client.CloseIdleConnections()
	body := []byte(`{"type":"order.paid","timestamp":"2026-01-01T00:00:00.000Z","data":` + string(oneKiB) + `}`)
	var next atomic.Int64
	var group sync.WaitGroup
	start := time.Now()
	for range benchInFlight {
		group.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				id, at := strconv.FormatInt(i, 10), strconv.FormatInt(time.Now().Unix(), 10)
				mac := hmac.New(sha256.New, key)
				_, _ = io.WriteString(mac, id+"."+at+".")
				_, _ = mac.Write(body)
				req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
				if err != nil {
					b.Error(err)
					return
				}
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("webhook-id", id)
				req.Header.Set("webhook-timestamp", at)
				req.Header.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
				res, err := client.Do(req)
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
		})
	}
	group.Wait()
	return time.Since(start)
}

// engine is a Manager that counts its deliveries.
type engine struct {
	*hooks.Manager
	left atomic.Int64  // deliveries to wait for
	done chan struct{} // receives when there are none left
}

func newEngine(b *testing.B, store hooks.Store, urls ...string) *engine {
	b.Helper()
	e := &engine{done: make(chan struct{}, 1)}
	m, err := hooks.New(store, hooks.Config{
		AllowNetworks: []string{"127.0.0.0/8"}, AllowHTTP: true,
		MaxInFlight: benchInFlight, MaxInFlightPerHook: benchInFlight,
		Observer: hooks.Observer{Attempt: func(d hooks.Delivery, a hooks.Attempt, _ *hooks.Event) {
			if d.State != hooks.Succeeded {
				b.Errorf("a delivery failed: %s", a.Error)
			}
			if e.left.Add(-1) == 0 {
				e.done <- struct{}{}
			}
		}},
	})
	if err != nil {
		b.Fatal(err)
	}
	e.Manager = m
	for _, url := range urls {
		if _, err := m.Register(b.Context(), hooks.Hook{URL: url, Events: []string{"order.paid"}}); err != nil {
			b.Fatal(err)
		}
	}
	return e
}

// stores are those that the engine is measured on.
var stores = []struct {
	name string
	open func(*testing.B) hooks.Store
}{
	{"memory", func(*testing.B) hooks.Store { return memory.New(memory.Options{}) }},
	{"sqlite", func(b *testing.B) hooks.Store {
		s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "hooks.db"), sqlite.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := s.Close(); err != nil {
				b.Error(err)
			}
		})
		return s
	}},
}

// run starts the engine, and returns how to stop it.
func (e *engine) run(b *testing.B) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error)
	go func() { stopped <- e.Run(ctx) }()
	return func() {
		cancel()
		if err := <-stopped; err != nil {
			b.Error(err)
		}
	}
}

// trigger triggers n events in all from callers goroutines.
func (e *engine) trigger(b *testing.B, callers, n int) {
	var next atomic.Int64
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for next.Add(1) <= int64(n) {
				if _, err := e.Trigger(context.Background(), hooks.Event{Type: "order.paid", Data: oneKiB}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	group.Wait()
}

// deliver has n events delivered, which make so many deliveries, and returns
// how long it took from the trigger (or from the start of Run, if the events
// wait already: callers is 0) until all results were stored.
func (e *engine) deliver(b *testing.B, callers, events, deliveries int) (took, cpu time.Duration) {
	b.Helper()
	e.left.Store(int64(deliveries))
	if callers == 0 {
		e.trigger(b, 4, events)
	}
	at, start := cpuTime(b), time.Now()
	stop := e.run(b)
	if callers > 0 {
		e.trigger(b, callers, events)
	}
	<-e.done
	took, cpu = time.Since(start), cpuTime(b)-at
	stop()
	return took, cpu
}

// cpuTime is the time that all threads of this process have computed.
func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// BenchmarkOfBareLoop measures deliveries until their results are stored. of-bare is the median of their rate in rates of the bare
// loop, cpu-of-bare that of the sender's processor time.
func BenchmarkOfBareLoop(b *testing.B) {
	const perPass = 20_000
	for _, store := range stores {
		for _, bench := range []struct {
			name                   string
			hooks, callers, events int
		}{
			{"backlog", 1, 0, perPass},
			{"fan-out-100", 100, 1, perPass / 100},
			{"fan-out-1000", 1000, 1, perPass / 1000},
			{"64-callers", 1, 64, perPass},
		} {
			b.Run(store.name+"/"+bench.name, func(b *testing.B) {
				url := startReceiver(b)
				e := newEngine(b, store.open(b), slices.Repeat([]string{url}, bench.hooks)...)
				bareLoop(b, url, perPass/4)
				e.deliver(b, bench.callers, bench.events, perPass)
				var rates, cpu []float64
				for b.Loop() {
					at := cpuTime(b)
					bare := bareLoop(b, url, perPass)
					bareCPU := cpuTime(b) - at
					own, ownCPU := e.deliver(b, bench.callers, bench.events, perPass)
					rates = append(rates, bare.Seconds()/own.Seconds())
					cpu = append(cpu, ownCPU.Seconds()/bareCPU.Seconds())
				}
				b.ReportMetric(median(rates), "of-bare")
				b.ReportMetric(median(cpu), "cpu-of-bare")
			})
		}
	}
}

// BenchmarkAllocations reports the allocations of a delivery above those of a
// request of the bare loop.
func BenchmarkAllocations(b *testing.B) {
	url := startReceiver(b)
	e := newEngine(b, memory.New(memory.Options{}), url)
	count := func(run func()) float64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		run()
		runtime.ReadMemStats(&after)
		return float64(after.Mallocs - before.Mallocs)
	}
	const n = 20_000
	e.deliver(b, 4, n, n)
	var bare, own float64
	for b.Loop() {
		bare += count(func() { bareLoop(b, url, n) }) / n
		own += count(func() { e.deliver(b, 4, n, n) }) / n
	}
	b.ReportMetric(bare/float64(b.N), "bare-allocs")
	b.ReportMetric(own/float64(b.N), "own-allocs")
}

// BenchmarkTrigger measures Trigger alone, from as many goroutines as there are
// processors, with one matching hook of 100,000. What it has triggered is
// settled in between, outside of the time that is measured.
func BenchmarkTrigger(b *testing.B) {
	const perRound = 10_000
	store := memory.New(memory.Options{})
	m, err := hooks.New(store, hooks.Config{MaxHooks: -1})
	if err != nil {
		b.Fatal(err)
	}
	for i := range 100_000 {
		h := hooks.Hook{URL: "https://example.com/" + strconv.Itoa(i), Events: []string{"type_" + strconv.Itoa(i)}}
		if _, err := m.Register(b.Context(), h); err != nil {
			b.Fatal(err)
		}
	}
	data := []byte(`{"order":42}`)
	var took time.Duration
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		start := time.Now()
		var group sync.WaitGroup
		for range runtime.GOMAXPROCS(0) {
			group.Go(func() {
				for range perRound / runtime.GOMAXPROCS(0) {
					if _, err := m.Trigger(context.Background(), hooks.Event{Type: "type_500", Data: data}); err != nil {
						b.Error(err)
					}
				}
			})
		}
		group.Wait()
		took += time.Since(start)
		b.StopTimer()
		settleAll(b, store)
		b.StartTimer()
	}
	b.ReportMetric(float64(b.N*perRound)/took.Seconds(), "triggers/s")
}

// settleAll ends all deliveries that are due.
func settleAll(b *testing.B, store *memory.Store) {
	b.Helper()
	at := time.Now()
	claimed, _, err := store.Claim(b.Context(), hooks.ClaimRequest{Now: at, Until: at.Add(time.Minute), Limit: hooks.Capacity{Deliveries: 1 << 20}})
	if err != nil {
		b.Fatal(err)
	}
	settlements := make([]hooks.Settlement, len(claimed))
	for i, c := range claimed {
		settlements[i] = hooks.Settlement{DeliveryID: c.Delivery.ID, Token: c.Delivery.Lease.Token, State: hooks.Succeeded}
	}
	if _, err := store.Settle(b.Context(), at, settlements); err != nil {
		b.Fatal(err)
	}
}

package main

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// The paths of the endpoints, one for each behaviour.
const (
	pathNeighbour = "/neighbour"
	pathQuick     = "/quick"
	pathHang      = "/hang"
	pathTrickle   = "/trickle"
	pathRedirect  = "/redirect"
	pathReset     = "/reset"
	pathTurning   = "/turning"
)

// pathAfter is the path of an endpoint that responds with 200 after this duration.
func pathAfter(duration string) string { return "/after/" + duration }

const (
	// hangTimeout is what a hook gives its endpoint.
	hangTimeout     = 15 * time.Second
	trickleInterval = 200 * time.Millisecond
	turningAfter    = 3 * time.Second
	turningDelay    = 4 * time.Second
)

// endpoints are those of the neighbour and of its attacker.
type endpoints struct {
	url      string
	server   *http.Server
	stopped  chan struct{}
	receipts *receipts // of the neighbour
	attacked atomic.Int64
	turned   func() time.Time
}

// newEndpoints listens. Any request but the neighbour's counts as the attacker's.
func newEndpoints(r *receipts) (*endpoints, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	e := &endpoints{url: "http://" + l.Addr().String(), stopped: make(chan struct{}), receipts: r}
	e.turned = sync.OnceValue(func() time.Time { return time.Now().Add(turningAfter) })
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+pathNeighbour, e.neighbour)
	mux.HandleFunc("POST /after/{duration}", e.attack(after))
	mux.HandleFunc("POST "+pathQuick, e.attack(quick))
	mux.HandleFunc("POST "+pathHang, e.attack(hang))
	mux.HandleFunc("POST "+pathTrickle, e.attack(trickle))
	mux.HandleFunc("POST "+pathRedirect, e.attack(redirect))
	mux.HandleFunc("POST "+pathReset, e.attack(reset))
	mux.HandleFunc("POST "+pathTurning, e.attack(e.turning))
	// A redirect that is followed is a GET.
	mux.HandleFunc("GET "+pathHang, e.attack(hang))
	e.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() {
		defer close(e.stopped)
		_ = e.server.Serve(l) // It fails when it is closed.
	}()
	return e, nil
}

// close ends all requests.
func (e *endpoints) close() error {
	err := e.server.Close()
	<-e.stopped
	return err
}

func (e *endpoints) neighbour(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	i, err := strconv.Atoi(r.Header.Get("webhook-id"))
	if err != nil || !e.receipts.add(i, now) {
		http.Error(w, "no event of this measurement", http.StatusBadRequest)
		return
	}
	quick(w, r)
}

// attack counts a request and reads its body, because the server does not
// notice before that the sender has gone.
func (e *endpoints) attack(behave http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		e.attacked.Add(1)
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			behave(w, r)
		}
	}
}

func quick(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, response) }

func after(w http.ResponseWriter, r *http.Request) {
	d, err := time.ParseDuration(r.PathValue("duration"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if pause(r, d) {
		quick(w, r)
	}
}

func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func trickle(w http.ResponseWriter, r *http.Request) {
	flush := http.NewResponseController(w).Flush
	for flush() == nil && pause(r, trickleInterval) {
		if _, err := io.WriteString(w, "."); err != nil {
			return
		}
	}
}

func redirect(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, pathHang, http.StatusFound)
}

func reset(w http.ResponseWriter, _ *http.Request) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	// To close without lingering resets, see tcp(7).
	if c, ok := connection.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	_ = connection.Close()
}

// turning responds at once until some time after the first request, and late
// from then on.
func (e *endpoints) turning(w http.ResponseWriter, r *http.Request) {
	if time.Now().Before(e.turned()) || pause(r, turningDelay) {
		quick(w, r)
	}
}

// pause waits, and reports whether the sender is still there.
func pause(r *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

package hookstest

import (
	"bytes"
	"context"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/signature"
	"github.com/seed-2c6e3a5a/hooks/receive"
)

// A Receiver is an HTTP endpoint for a test. It records the requests that it receives,
// and responds by a script. It is closed when the test ends. Its methods may be called
// concurrently, except that Wait, Next and [Endpoint.Settle] are for the goroutine of
// the test.
type Receiver struct {
	// URL is the receiver's, without a slash at the end. The response does not depend
	// on the path.
	URL string
	// Patience is how long Wait, Next and [Endpoint.Settle] wait at most. Default: 10 s of real
	// time and, in a synctest bubble, 7 days, which is longer than the retries
	// of Standard Webhooks take. It may be changed before the first wait.
	Patience time.Duration

	t      testing.TB
	server *httptest.Server
	stop   context.CancelFunc
	// handlers counts the requests whose responses are under way, also on connections
	// that a response has hijacked from the server.
	handlers sync.WaitGroup

	mu       sync.Mutex
	script   []Response
	verifier *receive.Verifier
	requests []Request
	returned int           // by Next
	arrived  chan struct{} // closed and replaced when a request arrives
}

// NewReceiver returns a receiver on a TCP port of the loopback interface. The
// responses are those of [Receiver.Respond]. A Manager reaches it with the
// [hooks.Config] fields AllowHTTP and AllowNetworks ("127.0.0.1").
func NewReceiver(t testing.TB, responses ...Response) *Receiver {
	t.Helper()
	return start(t, listenTCP(t), nil, responses)
}

// NewTLSReceiver is NewReceiver with TLS. The certificate is that of
// [httptest.NewTLSServer]: see [Receiver.Certificate].
func NewTLSReceiver(t testing.TB, responses ...Response) *Receiver {
	t.Helper()
	return startTLS(t, listenTCP(t), nil, responses)
}

// Receiver returns a receiver at a host of the network, "shop.example" for
// example. See [NewReceiver] and [Network.Listen].
func (n *Network) Receiver(t testing.TB, host string, responses ...Response) *Receiver {
	t.Helper()
	return start(t, n.Listen(host), n.Dial, responses)
}

// TLSReceiver is Receiver with TLS. The certificate is for example.com and its
// subdomains: see [Receiver.Certificate].
func (n *Network) TLSReceiver(t testing.TB, host string, responses ...Response) *Receiver {
	t.Helper()
	return startTLS(t, n.Listen(host), n.Dial, responses)
}

func listenTCP(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("hookstest: no port for a receiver: %v", err)
	}
	return l
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

func start(t testing.TB, l net.Listener, dial dialFunc, responses []Response) *Receiver {
	return newReceiver(t, l, dial, responses, (*httptest.Server).Start)
}

func startTLS(t testing.TB, l net.Listener, dial dialFunc, responses []Response) *Receiver {
	return newReceiver(t, l, dial, responses, (*httptest.Server).StartTLS)
}

// newReceiver starts a receiver on l. Its client uses dial, if there is one.
func newReceiver(t testing.TB, l net.Listener, dial dialFunc, responses []Response, start func(*httptest.Server)) *Receiver {
	ctx, stop := context.WithCancel(context.Background())
	r := &Receiver{Patience: patience(), t: t, stop: stop, script: responses, arrived: make(chan struct{})}
	r.server = &httptest.Server{Listener: l, Config: &http.Server{
		Handler:     http.HandlerFunc(r.serve),
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    log.New(t.Output(), "hookstest: ", 0),
	}}
	start(r.server)
	r.URL = r.server.URL
	if dial != nil {
		r.server.Client().Transport.(*http.Transport).DialContext = dial
	}
	t.Cleanup(r.Close)
	return r
}

// Close drops all connections and stops listening, so that connections are refused
// from then on. It returns when all goroutines of the receiver have ended. The end of
// the test calls it; call it earlier for an endpoint that goes away.
func (r *Receiver) Close() {
	r.stop()
	// Its only error is that of closing a listener that is not needed any more.
	_ = r.server.Config.Close()
	r.server.Close()
	r.handlers.Wait()
}

// Client returns an HTTP client that reaches the receiver, on its network, and
// that trusts its certificate.
func (r *Receiver) Client() *http.Client { return r.server.Client() }

// Certificate returns the receiver's self-signed certificate, valid for
// 127.0.0.1, example.com and its subdomains, or nil if it has no TLS. A Manager
// trusts it when it is among the RootCAs of [hooks.Config].TLS.
func (r *Receiver) Certificate() *x509.Certificate { return r.server.Certificate() }

// Respond replaces the script: each request, in the order of their arrival, gets the
// next of these responses, and all further requests get the last one. Without
// responses, it is Status(200), as for a new receiver.
func (r *Receiver) Respond(responses ...Response) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.script = slices.Clone(responses)
}

// Verify makes the receiver check the signatures of all further requests with these
// secrets: see [Request].SignatureErr. Of a private key ("whsk_…") it uses the public
// one. A secret that [receive.NewVerifier] refuses ends the test.
func (r *Receiver) Verify(secrets ...hooks.Secret) {
	r.t.Helper()
	forReceiver := make([]string, len(secrets))
	for i, s := range secrets {
		forReceiver[i] = signature.ForReceiver(string(s))
	}
	v, err := receive.NewVerifier(forReceiver...)
	if err != nil {
		r.t.Fatalf("hookstest: no verifier for %s: %v", r.URL, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.verifier = v
}

func (r *Receiver) serve(w http.ResponseWriter, req *http.Request) {
	r.handlers.Add(1)
	defer r.handlers.Done()
	body, err := io.ReadAll(req.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // the client went away before its request was complete
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	r.record(req, body)(w, req)
}

// record keeps a request and returns the response to it.
func (r *Receiver) record(req *http.Request, body []byte) Response {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, newRequest(req, body, r.verifier))
	close(r.arrived)
	r.arrived = make(chan struct{})
	switch len(r.script) {
	case 0:
		return Status(http.StatusOK)
	case 1:
		return r.script[0]
	}
	next := r.script[0]
	r.script = r.script[1:]
	return next
}

package hooks

import (
	"math/bits"
	"net/http"
	"time"
)

// A State is where a delivery stands.
//
//	blocked → pending → leased → succeeded
//	             ↑         ├───→ dead
//	             └─────────┘     cancelled (from any but leased, or instead of an attempt)
//
// Succeeded, dead and cancelled are ends; [Manager.Redeliver] leads from them
// back to pending.
type State string

// The states of a delivery.
const (
	// Blocked waits for an earlier delivery of the same hook and ordering key.
	Blocked State = "blocked"
	// Pending waits for its due time, or for a Manager to take it.
	Pending State = "pending"
	// Leased is held by one Manager, which is sending it or about to.
	Leased State = "leased"
	// Succeeded was accepted by the endpoint.
	Succeeded State = "succeeded"
	// Dead has used up its attempts, or was refused for good.
	Dead State = "dead"
	// Cancelled ended without a last attempt: by hand, because its hook was
	// deleted, disabled or no longer verified when it fell due, or because the
	// hook's filter, evaluated only then, did not let the event through.
	Cancelled State = "cancelled"
)

// Ended reports whether s is succeeded, dead or cancelled.
func (s State) Ended() bool { return s == Succeeded || s == Dead || s == Cancelled }

// A Delivery is one event on its way to one hook.
type Delivery struct {
	// ID is a UUIDv7, unique among all deliveries.
	ID        string
	Tenant    string
	HookID    string
	EventID   string
	EventType string
	// Key is the ordering key of the event, empty for none.
	OrderingKey string

	State State
	// Undecided says that the hook's filter has not let the event through yet,
	// because there was no time for it when the event was triggered. Run
	// evaluates it before the next attempt, and cancels the delivery if it
	// does not let the event through. So it does after a redelivery.
	Undecided bool
	// Attempts counts the attempts made, over all redeliveries.
	Attempts int
	// Step is the index of the next attempt in the schedule. A redelivery
	// starts at 0 again.
	Step int
	// Due is when the next attempt may start. Set while blocked, pending or
	// leased.
	Due time.Time
	// Lease says who holds the delivery. Owner and Until are set while
	// leased; Token only ever grows.
	Lease Lease
	// Held marks a dead delivery that holds its ordering key back.
	Held bool
	// Reason says in words why the delivery failed last or was cancelled.
	Reason string

	// CreatedAt is when the event was triggered.
	CreatedAt time.Time
	// EndedAt is when the delivery ended. Zero while it has not.
	EndedAt time.Time
}

// HookRef returns the name of the delivery's hook.
func (d Delivery) HookRef() Ref { return Ref{d.Tenant, d.HookID} }

// A Lease is the right to send a delivery and to settle it.
type Lease struct {
	// Owner is the Manager that holds the lease.
	Owner string
	// Token is the fence: it grows by one with each lease of the delivery,
	// and a settlement that carries an older one is refused.
	Token int64
	// Until is when the lease ends and others may take the delivery.
	Until time.Time
}

// An Attempt is one try to deliver, as the log keeps it: see [KeepsResponse] for
// what it drops. Its headers and bodies may be shared and must not be changed.
type Attempt struct {
	// DeliveryID and Number, counted from 1, name the attempt.
	DeliveryID string
	Number     int
	Tenant     string
	HookID     string
	EventID    string
	EventType  string

	StartedAt time.Time
	// Duration is how long the attempt took, from the look-up of the name to
	// the last byte read.
	Duration time.Duration

	// Request is what was sent; its secrets are redacted. Its zero value
	// means that nothing could be sent.
	Request AttemptRequest
	// Response is the response. Its zero value means that there was none.
	Response AttemptResponse

	// Class says what kind of failure it was. Empty: a success.
	Class ErrorClass
	// Error says it in words. Empty: a success.
	Error string

	// State is what the delivery became: succeeded, pending (another attempt
	// follows) or dead.
	State State
	// NextAt is when the next attempt is due, if State is pending.
	NextAt time.Time
}

// An AttemptRequest is a request as the log keeps it.
type AttemptRequest struct {
	Method string
	URL    string
	// Header has "[redacted]" for the values that are secret.
	Header http.Header
	// BodySize and BodySHA256 tell what the body was without keeping it.
	BodySize   int
	BodySHA256 [32]byte
}

// An AttemptResponse is a response as the log keeps it.
type AttemptResponse struct {
	Status int
	// Header has at most 50 fields, whose names and values have at most 8 KiB:
	// Content-Type, Location and Retry-After first, then the others by name.
	// One that does not fit is left out.
	Header http.Header
	// HeaderTruncated says that the response had more fields.
	HeaderTruncated bool
	// Body is the beginning of the response, at most [Config].MaxResponse bytes.
	Body []byte
	// Truncated says that the response was longer.
	Truncated bool
	// Dropped says that there was a header or a body that the log no longer
	// keeps, see [KeepsResponse].
	Dropped bool
}

// KeepsResponse reports whether the log keeps the header and the body of the
// answer to a delivery's attempt with this number once there is a later one: it
// does for the powers of two, so for the first attempt, the second, the fourth
// and so on. The response to the latest attempt is always kept. Of n attempts, at
// most 2 + log2(n) have a response; everything else about them stays in the log.
func KeepsResponse(number int) bool { return bits.OnesCount(uint(max(0, number))) == 1 }

// An ErrorClass is the kind of a failed attempt.
type ErrorClass string

// The kinds of failure.
const (
	// ClassDNS: the name of the endpoint does not resolve, or resolves to addresses
	// only that the egress policy forbids. The operator's log tells which.
	ClassDNS ErrorClass = "dns"
	// ClassConnect: no connection, or two that were lost before a response: the
	// request is made once more if the first is.
	ClassConnect ErrorClass = "connect"
	// ClassTLS: no secure connection, for example because of a wrong certificate;
	// or one that is not secure, and the endpoint expects TLS.
	ClassTLS ErrorClass = "tls"
	// ClassTimeout: the hook's timeout passed before the response was complete.
	ClassTimeout ErrorClass = "timeout"
	// ClassForbidden: the egress policy forbids the URL's host, address, port or
	// scheme.
	ClassForbidden ErrorClass = "forbidden"
	// ClassStatus: a response whose status is not success.
	ClassStatus ErrorClass = "status"
	// ClassRedirect: a 3xx response. Redirects are never followed.
	ClassRedirect ErrorClass = "redirect"
	// ClassBody: a response that broke off in its body.
	ClassBody ErrorClass = "body"
	// ClassHTTP: a response that is not HTTP, or whose headers are too large.
	ClassHTTP ErrorClass = "http"
	// ClassRefused: the endpoint told twice that it does not process the
	// request, by GOAWAY or REFUSED_STREAM (RFC 9113, sections 6.8 and 8.7).
	ClassRefused ErrorClass = "refused"
	// ClassHTTP2: another error of HTTP/2 ended the stream or the connection
	// before a response (RFC 9113, section 5.4).
	ClassHTTP2 ErrorClass = "http2"
	// ClassRequest: no request could be made of the event, or the code that
	// makes it or judges the response panicked or ended its goroutine.
	ClassRequest ErrorClass = "request"
	// ClassFilter: the hook's filter could not be evaluated in the time that
	// it had. Nothing was sent.
	ClassFilter ErrorClass = "filter"
	// ClassInterrupted: the Manager stopped before the attempt ended. It does
	// not count against the schedule.
	ClassInterrupted ErrorClass = "interrupted"
)

// Stats sums up what became of a hook's deliveries in a window of time.
type Stats struct {
	// Deliveries ended in the window: Successes (succeeded) and Failures
	// (dead). Cancelled ones are not counted.
	Deliveries int
	Successes  int
	Failures   int
	// LastError is the text of the latest failed attempt in the window, and
	// LastErrorAt when that attempt started.
	LastError   string
	LastErrorAt time.Time
}

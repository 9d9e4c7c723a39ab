package hooks

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// A Protocol decides what deliveries look like on the wire and which responses are a
// success. [StandardWebhooks] is the default one. An application adds others with
// [Config].Protocols. The methods may be called concurrently.
type Protocol interface {
	// Name is the value of Hook.Protocol for hooks that use the protocol.
	Name() string
	// Traits returns the protocol's defaults and properties. They must not vary.
	Traits() Traits
	// NewSecret makes a signing secret, or returns "" if the protocol does
	// not sign.
	NewSecret() (Secret, error)
	// Compile checks everything of the hook that is the protocol's own
	// (Settings, Secrets, Method, the headers it sets itself) and prepares
	// what can be prepared once. The Manager calls it before it stores a hook,
	// when it has checked all else, and when it loads one. The endpoint may
	// keep h, but must not change it. A fault is an [InvalidError].
	Compile(h Hook) (Endpoint, error)
}

// Traits are a protocol's defaults and properties.
type Traits struct {
	// Schedule and Timeout are for hooks that set none. They have the bounds of
	// [Hook].Schedule and [Hook].Timeout, and must not be empty.
	Schedule []time.Duration
	Timeout  time.Duration
	// RequireVerified restricts deliveries to verified hooks.
	RequireVerified bool
	// AnyURL makes the Manager accept any text as a hook's URL. If it is no http or https
	// URL, deliveries fail. If it is one, the egress policy must permit it.
	AnyURL bool
	// Jitter is the most by which a retry's delay is lengthened at random. A fifth of the
	// delay applies if that is more.
	Jitter time.Duration
	// MaxBatch is how many messages Endpoint.Request takes. A hook's MaxBatch cannot be
	// higher. Default: 1.
	MaxBatch int
}

// An Endpoint makes the requests for one hook in a protocol, and judges the responses. Its
// methods may be called concurrently.
type Endpoint interface {
	// Accepts reports whether the protocol's own filter lets the event through. An error
	// means no, and is reported to the observer, unless ctx has ended: then Accepts is
	// called again later, by Run if Trigger called it. If it may take longer than a
	// millisecond, it must check ctx and return its error, because nothing else can stop
	// it. ctx is valid during the call only.
	Accepts(ctx context.Context, e *Event) (bool, error)
	// Request makes the request for these messages. There is one, unless the hook's
	// MaxBatch allows more. The hook's Method and Headers are in the request only if the
	// protocol puts them there; the Manager just adds the headers of [Config].Decorate.
	// Request may first send requests of its own with send. An error is a failed attempt.
	// If it is no [AttemptError], the class is [ClassRequest].
	Request(ctx context.Context, send Send, msgs []Message) (Request, error)
	// Judge says what the response means for the delivery. Response.Err says if there is
	// none.
	Judge(r Response) Verdict
	// Verify asks the endpoint whether it wants the traffic. It returns nil if it does,
	// and otherwise an [AttemptError] that says what was wrong. Each request that it makes
	// with send has the hook's timeout, and the whole call has one minute. A protocol
	// that has no handshake returns nil.
	Verify(ctx context.Context, send Send) error
}

// A Message is one event to be put into a request.
type Message struct {
	// Event is shared and must not be changed.
	Event *Event
	// DeliveryID and Attempt, counted from 1, name the attempt.
	DeliveryID string
	Attempt    int
	// Now is the time of the attempt.
	Now time.Time
}

// Send makes one request under the rules for all outgoing requests: the egress
// policy, no redirects, no proxy, bounded responses, and the time of ctx. A request
// whose connection is lost before a response begins is made once more, on a fresh
// one. Send always returns; Response.Err is set when there is no complete response.
type Send func(ctx context.Context, r Request) Response

// A Request is made by a protocol. Its fields are shared with the protocol and must not be
// changed.
type Request struct {
	// Method is a token of RFC 9110, section 9.1. Default: POST.
	Method string
	URL    *url.URL
	// Header has canonical keys.
	Header http.Header
	Body   []byte
	// MaxResponse bounds the body of the response that is read, in bytes. Default:
	// 16 KiB, or [Config].MaxResponse if that is more.
	MaxResponse int

	// LogURL and LogHeader are what the attempt log keeps of URL and Header.
	// Default: the URL without its query, and every value redacted.
	LogURL    string
	LogHeader http.Header
	// LogBodySHA256 is the SHA-256 of Body. Default: it is computed.
	LogBodySHA256 [32]byte
}

// A Response is a response to a request, or the reason why there is none.
type Response struct {
	// Status, Header and Body are the response's, as far as it came.
	Status    int
	Header    http.Header
	Body      []byte
	Truncated bool
	// Err is nil when the response came whole or was truncated at MaxResponse.
	Err *AttemptError
}

// Failure returns the error for a response that is no success: Err, or one with the
// status. It is never nil, so call it when the protocol has judged the response.
func (r Response) Failure() *AttemptError {
	if r.Err != nil {
		return r.Err
	}
	return &AttemptError{
		Class: r.class(), Err: fmt.Errorf("the endpoint responded with %d %s", r.Status, http.StatusText(r.Status)), Response: &r,
	}
}

// A Verdict is what a response means for the delivery and its hook. A response that is no
// success is logged as [Response.Failure] describes it, even if its status is 200.
type Verdict struct {
	// Success ends the delivery as succeeded.
	Success bool
	// Permanent ends a failed delivery without further attempts.
	Permanent bool
	// Throttle pauses all deliveries of the hook for as long as Retry-After says, or for a
	// time that grows with its failures.
	Throttle bool
	// Disable disables the hook for this reason. Empty: it stays.
	Disable string
}

// An AttemptError is why an attempt failed.
type AttemptError struct {
	Class ErrorClass
	// Err is the cause. It may be shown to the hook's owner, and may be nil.
	Err error
	// Response is the response, if one came.
	Response *Response
}

// Error returns the cause's text, at most 1024 bytes, with escapes for control
// characters and whatever else is not printable: it may have come from the endpoint.
func (e *AttemptError) Error() string {
	if e.Err == nil {
		return string(e.Class)
	}
	return errorText(e.Err)
}

// Unwrap returns the cause.
func (e *AttemptError) Unwrap() error { return e.Err }

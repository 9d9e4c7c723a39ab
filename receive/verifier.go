package receive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/seed-2c6e3a5a/hooks/internal/signature"
)

// The reasons why [Verifier.Verify] refuses a request. Its errors wrap one of them.
// Their texts say more and may be shown to the sender.
var (
	// ErrSignature: no signature was made with a known secret, or a header that the
	// check needs is missing or malformed.
	ErrSignature = errors.New("webhook signature not accepted")
	// ErrTimestamp: the request is too old or from the future. So it is a replay, or
	// one of the two clocks is wrong.
	ErrTimestamp = errors.New("webhook timestamp not accepted")
)

// An InvalidError refuses the secrets of a [Verifier].
type InvalidError struct {
	// Field names what is wrong: "secrets", or an element such as "secrets[1]".
	Field string
	// Reason is the rule that it breaks, as the end of a sentence that starts with
	// the field: "must not be empty". It never holds the secret.
	Reason string
}

// Error returns the field and the reason.
func (e *InvalidError) Error() string { return fmt.Sprintf("invalid %s: %s", e.Field, e.Reason) }

const (
	defaultTolerance = 5 * time.Minute
	defaultMaxBody   = 1 << 20
	// maxSignatures bounds the work that a list of signatures from a stranger can
	// cause. It is twice the number of secrets that a hook may have.
	maxSignatures = 20
)

// A Verifier checks the signatures of requests, as Standard Webhooks 1.0.0 has it. Set
// its fields before you use it. It may be used concurrently. It prints without its
// secrets.
//
// A request may have the headers of Svix (svix-id, svix-timestamp and svix-signature)
// in place of webhook-id, webhook-timestamp and webhook-signature. If it has any of the
// latter, those of Svix are ignored.
//
//nolint:recvcheck // A copy must not print its keys either.
type Verifier struct {
	// Tolerance is how far a request's timestamp may be from now, in the past
	// and in the future. Default: 5 minutes.
	Tolerance time.Duration
	// MaxBody bounds the bodies that Middleware reads, in bytes. Default: 1 MiB.
	MaxBody int64
	// Seen reports whether the webhook with this webhook-id has been handled
	// already. Middleware then responds with 200 and does not call its handler. If
	// Seen fails, Middleware responds with 503, so that the sender tries again, and
	// logs the error to Logger. Default: each Middleware remembers the last 10,000
	// webhooks, in memory.
	Seen func(ctx context.Context, id string) (bool, error)
	// Handled, if set, is called after a handler has responded to a webhook with
	// success. An application whose handler records the id itself, in the
	// transaction of what it does, needs only Seen. The context does not end with
	// the request.
	Handled func(ctx context.Context, id string)
	// Logger gets the errors of Seen, with the id. Default: slog.Default().
	Logger *slog.Logger

	keys []signature.Key
}

// NewVerifier returns a Verifier of requests that were signed with any of these
// secrets: symmetric ones ("whsec_…") and public keys ("whpk_…"). While a secret is
// rotated, give the old one and the new one. The error is an [InvalidError]. It refuses
// private keys ("whsk_…"), which belong to the sender alone, and a call without secrets.
func NewVerifier(secrets ...string) (*Verifier, error) {
	if len(secrets) == 0 {
		return nil, &InvalidError{Field: "secrets", Reason: "must not be empty"}
	}
	v := &Verifier{keys: make([]signature.Key, len(secrets))}
	for i, secret := range secrets {
		field := fmt.Sprintf("secrets[%d]", i)
		k, err := signature.ParseKey(secret)
		if err != nil {
			return nil, &InvalidError{Field: field, Reason: err.Error()}
		}
		if k.IsPrivate() {
			return nil, &InvalidError{Field: field, Reason: `must not be a private key: only the sender needs "whsk_", a receiver needs the "whpk_" that belongs to it`}
		}
		v.keys[i] = k
	}
	return v, nil
}

// String leaves out the secrets.
func (v Verifier) String() string { return fmt.Sprintf("verifier of %d secrets", len(v.keys)) }

// Format writes String for every verb.
func (v Verifier) Format(f fmt.State, verb rune) {
	if verb == 'v' {
		verb = 's'
	}
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), v.String())
}

// Verify returns nil if the request with this header and body was signed with one of
// the secrets, and not too long ago. Otherwise its error wraps [ErrSignature] or
// [ErrTimestamp]. The body must be the bytes that arrived: JSON that was decoded and
// encoded again does not match. Of a list of signatures the first 20 are tried; those
// of unknown versions match no secret.
func (v *Verifier) Verify(header http.Header, body []byte) error {
	names := namesIn(header)
	for _, name := range [...]string{names.id, names.timestamp, names.signature} {
		if header.Get(name) == "" {
			return fmt.Errorf("%w: no %s", ErrSignature, strings.ToLower(name))
		}
	}
	// 62 bits keep time.Unix, which counts from the year 1, from overflowing.
	unix, err := strconv.ParseUint(header.Get(names.timestamp), 10, 62)
	if err != nil {
		return fmt.Errorf("%w: %s is not a number of seconds", ErrSignature, strings.ToLower(names.timestamp))
	}
	now, sent := time.Now(), time.Unix(int64(unix), 0)
	tolerance := cmp.Or(v.Tolerance, defaultTolerance)
	if sent.Before(now.Add(-tolerance)) {
		return fmt.Errorf("%w: more than %v old", ErrTimestamp, tolerance)
	}
	if sent.After(now.Add(tolerance)) {
		return fmt.Errorf("%w: more than %v in the future", ErrTimestamp, tolerance)
	}
	signatures := strings.SplitN(header.Get(names.signature), " ", maxSignatures+1)
	signatures = signatures[:min(len(signatures), maxSignatures)]
	for i := range v.keys {
		if v.keys[i].Verifies(signatures, header.Get(names.id), sent.Unix(), body) {
			return nil
		}
	}
	return fmt.Errorf("%w: none matches", ErrSignature)
}

// A headerNames has the names of the three headers of a signed request.
type headerNames struct{ id, timestamp, signature string }

var (
	standardNames = headerNames{signature.HeaderID, signature.HeaderTimestamp, signature.HeaderSignature}
	svixNames     = headerNames{"Svix-Id", "Svix-Timestamp", "Svix-Signature"}
)

// namesIn returns the names that a request uses: Svix's if it has any of them and none
// of the standard ones.
func namesIn(header http.Header) headerNames {
	if !standardNames.anyIn(header) && svixNames.anyIn(header) {
		return svixNames
	}
	return standardNames
}

func (n headerNames) anyIn(header http.Header) bool {
	return len(header.Values(n.id))+len(header.Values(n.timestamp))+len(header.Values(n.signature)) > 0
}

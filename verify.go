package hooks

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What [Verifier.Verify] finds wrong. The text of its errors says more, and is
// fit to be told to the sender.
var (
	// ErrSignature: no signature is that of a known secret, or a header that
	// verifying needs is missing or malformed.
	ErrSignature = errors.New("webhook signature not accepted")
	// ErrTimestamp: the request is too old or from the future, so it is a
	// replay, or one of the two clocks is wrong.
	ErrTimestamp = errors.New("webhook timestamp not accepted")
)

const (
	defaultTolerance = 5 * time.Minute
	defaultMaxBody   = 1 << 20
	// maxSignatures bounds the work that a stranger's list of signatures can
	// make: twice what a hook's secrets can give.
	maxSignatures = 20
	// rememberedIDs is how many handled webhooks a Middleware remembers.
	rememberedIDs = 10_000
	// verificationType is the type of the payload by which [Manager.Verify]
	// asks an endpoint to prove that it wants the traffic.
	verificationType = "hook.verification"
)

// A Verifier is the receiving side of Standard Webhooks 1.0.0: it tells
// requests that were signed with one of its secrets from all others. It may be
// used concurrently; its fields are set before the first use.
//
// A request may have the headers of Svix, svix-id, svix-timestamp and
// svix-signature, instead of webhook-id, webhook-timestamp and webhook-signature.
// If it has any of the latter, those of Svix are ignored.
//
//nolint:recvcheck // A copy must not print its keys either.
type Verifier struct {
	// Tolerance is how far a request's timestamp may be from now, in the past
	// and in the future. Default: 5 minutes.
	Tolerance time.Duration
	// MaxBody bounds the bodies that Middleware reads, in bytes. Default: 1 MiB.
	MaxBody int64
	// Seen reports whether the webhook of this webhook-id has been handled
	// already; Middleware then responds with 200 without calling its handler. If Seen
	// fails, Middleware responds with 503, so that the sender tries again, and logs the
	// error to Logger. Default: each Middleware remembers its last 10,000
	// webhooks, in memory.
	Seen func(ctx context.Context, id string) (bool, error)
	// Handled, if set, is called after a handler has answered a webhook with
	// success. An application that records the id in the handler itself, in the
	// transaction of what it does, needs only Seen. The context does not end
	// with the request.
	Handled func(ctx context.Context, id string)
	// Logger gets the errors of Seen, with the id. Default: slog.Default().
	Logger *slog.Logger

	keys []key
}

// NewVerifier returns a Verifier for requests that were signed with any of the
// secrets: symmetric ("whsec_"), public ("whpk_") or private ones ("whsk_", of
// which only the public half is kept). Give the old and the new one while a
// secret is rotated. The error is an [InvalidError]; no secret at all is one.
func NewVerifier(secrets ...Secret) (*Verifier, error) {
	if len(secrets) == 0 {
		return nil, &InvalidError{Field: "secrets", Reason: "must not be empty"}
	}
	v := &Verifier{keys: make([]key, len(secrets))}
	for i, secret := range secrets {
		k, err := parseKey(fmt.Sprintf("secrets[%d]", i), secret)
		if err != nil {
			return nil, err
		}
		k.private = nil
		v.keys[i] = k
	}
	return v, nil
}

// Verify returns nil if the request of this header and body was signed with
// one of the secrets, and not too long ago, and an error that wraps
// [ErrSignature] or [ErrTimestamp] otherwise. The body is to be the bytes that
// came, not a decoded and encoded form of them. Of a list of signatures the
// first 20 are tried; those of unknown versions fit no secret.
func (v *Verifier) Verify(header http.Header, body []byte) error {
	names := familyOf(header)
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
	list := strings.SplitN(header.Get(names.signature), " ", maxSignatures+1)
	list = list[:min(len(list), maxSignatures)]
	for i := range v.keys {
		if v.keys[i].verifies(list, header.Get(names.id), sent.Unix(), body) {
			return nil
		}
	}
	return fmt.Errorf("%w: none matches", ErrSignature)
}

// A family is the names of the headers of a signed request.
type family struct{ id, timestamp, signature string }

var (
	standardNames = family{headerID, headerTimestamp, headerSignature}
	svixNames     = family{"Svix-Id", "Svix-Timestamp", "Svix-Signature"}
)

// familyOf returns the names that the headers of a request have: Svix's if there
// are some of them and none of the standard ones.
func familyOf(header http.Header) family {
	if !standardNames.in(header) && svixNames.in(header) {
		return svixNames
	}
	return standardNames
}

// in reports whether there is a header of the family.
func (f family) in(header http.Header) bool {
	return len(header.Values(f.id))+len(header.Values(f.timestamp))+len(header.Values(f.signature)) > 0
}

// Middleware returns a handler that hands verified requests on to next, with a
// body that can be read as usual and with the webhook-id, webhook-timestamp and
// webhook-signature in headers of these names also if they came as svix-id and
// so on. It responds to all others itself:
//
//   - 413 to a body of more than MaxBody bytes and 400 to one that breaks off,
//   - 401, with the reason as text, to what Verify refuses,
//   - 200 to the question whether the endpoint wants a hook's traffic, asked
//     by [Manager.Verify]: {"challenge": "..."} with the challenge of the
//     question,
//   - 200 to a webhook whose webhook-id has been handled: by this handler,
//     with a 2xx answer, or as Seen says. 503 if Seen fails,
//   - 409 to a webhook that next is handling at this moment, which happens
//     when the sender has waited for a response for too long.
func (v *Verifier) Middleware(next http.Handler) http.Handler {
	return &receiver{
		Verifier: v,
		next:     next,
		underWay: map[string]struct{}{},
		recent:   map[idDigest]struct{}{},
	}
}

// A receiver is what Middleware returns.
type receiver struct {
	*Verifier
	next http.Handler

	mu       sync.Mutex
	underWay map[string]struct{}   // the ids that next is handling
	recent   map[idDigest]struct{} // the last handled ids, if Seen is nil
	ring     []idDigest            // the same in order, oldest at ring[oldest] once full
	oldest   int
}

// An idDigest stands for an id in memory, whatever the length of that.
type idDigest [sha256.Size]byte

func (h *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, cmp.Or(h.MaxBody, defaultMaxBody)))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		http.Error(w, "webhook body too large", http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil {
		http.Error(w, "webhook body not complete", http.StatusBadRequest)
		return
	}
	if err := h.Verify(r.Header, body); err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	if challenge := challengeIn(body); challenge != "" {
		w.Header().Set("Content-Type", "application/json")
		// An error here means that the sender is gone.
		_ = json.NewEncoder(w).Encode(map[string]string{"challenge": challenge})
		return
	}
	// The request is not ours to change.
	verified := r.WithContext(r.Context())
	verified.Body = io.NopCloser(bytes.NewReader(body))
	verified.ContentLength = int64(len(body))
	if names := familyOf(r.Header); names != standardNames {
		verified.Header = r.Header.Clone()
		verified.Header.Set(headerID, r.Header.Get(names.id))
		verified.Header.Set(headerTimestamp, r.Header.Get(names.timestamp))
		verified.Header.Set(headerSignature, r.Header.Get(names.signature))
	}
	h.serveOnce(w, verified)
}

// serveOnce hands a verified request to next unless that has handled it
// already or is just doing so.
func (h *receiver) serveOnce(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get(headerID)
	if !h.start(id) {
		http.Error(w, "webhook is being handled", http.StatusConflict)
		return
	}
	defer h.end(id)

	seen := h.Seen
	if seen == nil {
		seen = h.remembers
	}
	switch handled, err := seen(r.Context(), id); {
	case err != nil:
		logger := cmp.Or(h.Logger, slog.Default())
		logger.ErrorContext(r.Context(), "hooks: it is not known whether a webhook has been handled, because Verifier.Seen failed", "webhook_id", id, "error", err)
		http.Error(w, "webhook cannot be handled now", http.StatusServiceUnavailable)
		return
	case handled:
		return
	}

	response := &statusRecorder{ResponseWriter: w}
	h.next.ServeHTTP(response, r)
	if response.status >= 300 {
		return
	}
	if h.Seen == nil {
		h.remember(id)
	}
	if h.Handled != nil {
		h.Handled(context.WithoutCancel(r.Context()), id)
	}
}

// start marks the id as under way, unless it is.
func (h *receiver) start(id string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, busy := h.underWay[id]; busy {
		return false
	}
	h.underWay[id] = struct{}{}
	return true
}

func (h *receiver) end(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.underWay, id)
}

func (h *receiver) remembers(_ context.Context, id string) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.recent[sha256.Sum256([]byte(id))]
	return ok, nil
}

// remember adds an id that is not remembered yet, in place of the oldest one
// if there are too many.
func (h *receiver) remember(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	digest := idDigest(sha256.Sum256([]byte(id)))
	h.recent[digest] = struct{}{}
	if len(h.ring) < rememberedIDs {
		h.ring = append(h.ring, digest)
		return
	}
	delete(h.recent, h.ring[h.oldest])
	h.ring[h.oldest] = digest
	h.oldest = (h.oldest + 1) % rememberedIDs
}

// challengeIn returns the challenge of a body that asks whether the endpoint
// wants a hook's traffic, and "" for every other body.
func challengeIn(body []byte) string {
	if !bytes.Contains(body, []byte(verificationType)) {
		return ""
	}
	var question struct {
		Type string `json:"type"`
		Data struct {
			Challenge string `json:"challenge"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &question) != nil || question.Type != verificationType {
		return ""
	}
	return question.Data.Challenge
}

// A statusRecorder keeps the status of a response. It stays below 200 when the
// handler leaves it to net/http, which says 200.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (w *statusRecorder) WriteHeader(status int) {
	if w.status < 200 { // the first that is not informational counts
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusRecorder) Write(p []byte) (int, error) {
	if w.status < 200 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap is for [http.ResponseController].
func (w *statusRecorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

package receive

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"

	"github.com/seed-2c6e3a5a/hooks/internal/signature"
)

// maxRemembered is how many handled webhooks a Middleware remembers.
const maxRemembered = 10_000

// Middleware returns a handler that passes verified requests to next, with a body that
// can be read as usual. The headers webhook-id, webhook-timestamp and webhook-signature
// have these names also if they came with the names of Svix. It responds to all other
// requests itself:
//
//   - with 413 to a body of more than MaxBody bytes, and with 400 to one that ends early,
//   - with 401, and the reason as text, to what Verify refuses,
//   - with 200 to a sender that asks whether the endpoint wants the traffic of a hook
//     (an event of the type "hook.verification", as hooks.Manager.Verify sends it), and
//     {"challenge": "..."} with the challenge of that event,
//   - with 200 to a webhook that has been handled: next responded to its webhook-id with
//     2xx, or Seen says so. With 503 if Seen fails,
//   - with 409 to a webhook that next is handling at this moment, which happens when the
//     sender has stopped waiting and tries again.
func (v *Verifier) Middleware(next http.Handler) http.Handler {
	return &handler{
		Verifier:   v,
		next:       next,
		inProgress: map[string]struct{}{},
		handled:    map[idDigest]struct{}{},
	}
}

// A handler is what Middleware returns.
type handler struct {
	*Verifier
	next http.Handler

	mu         sync.Mutex
	inProgress map[string]struct{} // the ids that next is handling
	// handled has the last ids that were handled, if Seen is nil. ring has the same
	// in order; once it is full, the oldest is at ring[oldest].
	handled map[idDigest]struct{}
	ring    []idDigest
	oldest  int
}

// An idDigest takes the place of an id in memory, so that long ids need no more of it.
type idDigest [sha256.Size]byte

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
	h.serveOnce(w, verified(r, body))
}

// verified returns a copy of the request for next. The request itself must not be
// changed (see [http.Handler]).
func verified(r *http.Request, body []byte) *http.Request {
	names := namesIn(r.Header)
	r = r.WithContext(r.Context())
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	if names != standardNames {
		r.Header = r.Header.Clone()
		r.Header.Set(standardNames.id, r.Header.Get(names.id))
		r.Header.Set(standardNames.timestamp, r.Header.Get(names.timestamp))
		r.Header.Set(standardNames.signature, r.Header.Get(names.signature))
	}
	return r
}

// serveOnce passes a verified request to next unless its webhook has been handled or is
// being handled.
func (h *handler) serveOnce(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get(signature.HeaderID)
	if !h.begin(id) {
		http.Error(w, "webhook is being handled", http.StatusConflict)
		return
	}
	defer h.end(id)

	seen := h.Seen
	if seen == nil {
		seen = h.remembers
	}
	handled, err := seen(r.Context(), id)
	if err != nil {
		logger := cmp.Or(h.Logger, slog.Default())
		logger.ErrorContext(r.Context(), "hooks: it is not known whether a webhook has been handled, because Verifier.Seen failed", "webhook_id", id, "error", err)
		http.Error(w, "webhook cannot be handled now", http.StatusServiceUnavailable)
		return
	}
	if handled {
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

// begin marks the id as in progress. It returns false if it is already.
func (h *handler) begin(id string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.inProgress[id]; ok {
		return false
	}
	h.inProgress[id] = struct{}{}
	return true
}

func (h *handler) end(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.inProgress, id)
}

func (h *handler) remembers(_ context.Context, id string) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.handled[sha256.Sum256([]byte(id))]
	return ok, nil
}

// remember adds an id that is not remembered yet. If there are too many, it replaces the
// oldest.
func (h *handler) remember(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	digest := idDigest(sha256.Sum256([]byte(id)))
	h.handled[digest] = struct{}{}
	if len(h.ring) < maxRemembered {
		h.ring = append(h.ring, digest)
		return
	}
	delete(h.handled, h.ring[h.oldest])
	h.ring[h.oldest] = digest
	h.oldest = (h.oldest + 1) % maxRemembered
}

// challengeIn returns the challenge of a body that asks whether the endpoint wants the
// traffic of a hook, and "" for every other body.
func challengeIn(body []byte) string {
	if !bytes.Contains(body, []byte(signature.VerificationType)) {
		return ""
	}
	var event struct {
		Type string `json:"type"`
		Data struct {
			Challenge string `json:"challenge"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &event) != nil || event.Type != signature.VerificationType {
		return ""
	}
	return event.Data.Challenge
}

// A statusRecorder keeps the status of a response. The status stays below 200 if the
// handler sets none: net/http then sends 200.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (w *statusRecorder) WriteHeader(status int) {
	if w.status < 200 { // The first that is not informational counts.
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

package httpadapter

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

type handler struct {
	api       API
	cfg       Config
	routes    routes
	crossSite *crossSite
}

const requestIDHeader = "X-Request-Id"

// Routes are those of the API, for [Mount].
func (h *handler) Routes() []Route { return h.api.Routes() }

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	call := &Call{Request: r, Base: h.base(r)}
	id := requestID(r)
	response, err := h.respond(w, call)
	if err != nil {
		failure := h.api.Fail(r, err)
		failure.Header = merge(response.Header, failure.Header)
		response = failure
	}
	body, encodeErr := encode(response.Body)
	if encodeErr != nil {
		err = fmt.Errorf("encode the response: %w", encodeErr)
		response = h.api.Fail(r, err)
		body, _ = encode(response.Body) // What Fail makes can be encoded.
	}
	w.Header().Set(requestIDHeader, id)
	w.Header().Set("Cache-Control", "no-store") // RFC 9111, section 5.2.2.5: responses have secrets.
	for _, header := range []http.Header{h.api.Header(id), response.Header} {
		for name, values := range header {
			w.Header()[http.CanonicalHeaderKey(name)] = values
		}
	}
	response.Status = write(w, r, response.Status, body)
	h.log(call, id, response, err, time.Since(began))
}

// respond returns the response to a call, or an error.
func (h *handler) respond(w http.ResponseWriter, c *Call) (response Response, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicError{p, debug.Stack()}
		}
	}()
	route, allow := h.routes.find(c.Request)
	if route == nil {
		if allow == nil {
			return Response{}, ErrNoRoute
		}
		response := Response{Status: http.StatusOK, Header: http.Header{"Allow": {strings.Join(allow, ", ")}}}
		if c.Method != http.MethodOptions {
			err = ErrMethodNotAllowed
		}
		return response, err
	}
	if err := h.crossSite.check(c.Request); err != nil {
		return Response{}, err
	}
	if c.Caller, err = h.authenticate(c.Request); err != nil {
		return Response{}, err
	}
	if c.Body, err = h.read(w, c.Request); err != nil {
		return Response{}, err
	}
	return route.Handle(c)
}

func (h *handler) read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.cfg.MaxBody))
	if large := new(*http.MaxBytesError); errors.As(err, large) {
		return nil, ErrBodyTooLarge
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBodyIncomplete, err)
	}
	return body, nil
}

// authenticate returns who makes the request, or an error if they may not.
func (h *handler) authenticate(r *http.Request) (Identity, error) {
	who, err := h.cfg.Authenticate(r)
	if err != nil {
		if errors.Is(err, ErrForbidden) || errors.Is(err, ErrUnauthenticated) {
			return who, err
		}
		return who, fmt.Errorf("%w: %w", ErrUnauthenticated, err)
	}
	may := who.Write
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		may = who.Read
	}
	if !may {
		return who, fmt.Errorf("%w: %s", ErrForbidden, r.Method)
	}
	return who, nil
}

// base is Call.Base: RequestURI has the path as the client sent it, URL.Path
// what is left of it behind the prefix of the mount.
func (h *handler) base(r *http.Request) string {
	prefix := ""
	if sent, err := url.ParseRequestURI(r.RequestURI); err == nil {
		if before, ok := strings.CutSuffix(sent.EscapedPath(), r.URL.EscapedPath()); ok {
			prefix = strings.TrimSuffix(before, "/")
		}
	}
	switch {
	case h.cfg.Origin != "":
		return h.cfg.Origin + prefix
	case r.Host == "":
		return prefix
	case r.TLS != nil:
		return "https://" + r.Host + prefix
	}
	return "http://" + r.Host + prefix
}

// requestID returns the ID that the client gave the request, if it is one that
// is fit for a log and a header, or a new one.
func requestID(r *http.Request) string {
	id := r.Header.Get(requestIDHeader)
	ok := id != "" && len(id) <= 128 && !strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c > '~' })
	if ok {
		return id
	}
	return uuid.NewString()
}

// encode writes JSON as other languages do, without escapes for HTML.
func encode(body any) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(body)
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n")), err
}

// write sends a response and returns its status, which is 304 if the client has
// the body already (RFC 9110, section 13.1.2).
func write(w http.ResponseWriter, r *http.Request, status int, body []byte) int {
	header := w.Header()
	if body != nil {
		header.Set("Content-Type", "application/json; charset=utf-8")
		header.Set("X-Content-Type-Options", "nosniff")
	}
	if status == http.StatusOK && body != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		sum := sha256.Sum256(body)
		tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:]) + `"`
		header.Set("ETag", tag)
		if hasTag(r.Header.Values("If-None-Match"), tag) {
			header.Del("Content-Type")
			w.WriteHeader(http.StatusNotModified)
			return http.StatusNotModified
		}
	}
	if status != http.StatusNoContent {
		header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // The client is gone, and nobody else to tell.
	}
	return status
}

// hasTag reports whether If-None-Match names the tag: RFC 9110, section
// 8.8.3.2, weak comparison.
func hasTag(lists []string, tag string) bool {
	for _, list := range lists {
		for candidate := range strings.SplitSeq(list, ",") {
			candidate = strings.TrimSpace(candidate)
			if candidate == "*" || strings.TrimPrefix(candidate, "W/") == tag {
				return true
			}
		}
	}
	return false
}

// merge returns the fields of both headers; those of second win.
func merge(first, second http.Header) http.Header {
	if first == nil {
		return second
	}
	for name, values := range second {
		first[name] = values
	}
	return first
}

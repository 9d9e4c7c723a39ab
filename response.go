package hooks

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
)

// The bounds of responses, in bytes if not said otherwise.
const (
	// maxResponse and maxResponseHeader bound what is read of body and header.
	maxResponse       = 16 << 10
	maxResponseHeader = 64 << 10
	// maxResponseLimit is the most that Config.MaxResponse may be.
	maxResponseLimit = 1 << 20
	// maxLoggedFields and maxLoggedHeader bound what the log keeps of a header: the
	// number of its fields, and the length of their names and values.
	maxLoggedFields = 50
	maxLoggedHeader = 8 << 10
)

var responseBuffers = sync.Pool{New: func() any { return new([maxResponse + 1]byte) }}

// readBounded reads at most limit bytes, and reports whether there were more.
func readBounded(body io.Reader, limit int) (data []byte, truncated bool, err error) {
	buffer := responseBuffers.Get().(*[maxResponse + 1]byte)
	defer responseBuffers.Put(buffer)
	read := buffer[:0]
	for len(read) <= limit && err == nil {
		read = slices.Grow(read, 1)
		var n int
		n, err = body.Read(read[len(read):min(cap(read), limit+1)])
		read = read[:len(read)+n]
	}
	switch {
	case len(read) > limit:
		return bytes.Clone(read[:limit]), true, nil
	case err == io.EOF:
		err = nil
	}
	return bytes.Clone(read), false, err
}

// logged returns what the log keeps of the response, with at most limit bytes of its
// body.
func (r Response) logged(limit int) AttemptResponse {
	log := AttemptResponse{Status: r.Status, Body: r.Body, Truncated: r.Truncated}
	log.Header, log.HeaderTruncated = boundHeader(r.Header)
	if limit = max(limit, 0); len(log.Body) > limit {
		// A copy, since a part would keep the whole in memory.
		log.Body, log.Truncated = bytes.Clone(log.Body[:limit]), true
	}
	return log
}

// wantedFirst are the fields of responses that explain an attempt best.
var wantedFirst = []string{"Content-Type", "Location", "Retry-After"}

// boundHeader returns what the log keeps of a response's header: wantedFirst, then the
// others by name, until the bounds are reached. It reports whether that is less than
// all.
func boundHeader(h http.Header) (kept http.Header, truncated bool) {
	fields, size := 0, 0
	for name, values := range h {
		for _, value := range values {
			fields, size = fields+1, size+len(name)+len(value)
		}
	}
	if fields <= maxLoggedFields && size <= maxLoggedHeader {
		return h, false
	}
	kept = http.Header{}
	fields, size = 0, 0
	for _, name := range slices.Concat(wantedFirst, slices.Sorted(maps.Keys(h))) {
		if kept[name] != nil {
			continue
		}
		for _, value := range h[name] {
			if fields < maxLoggedFields && size+len(name)+len(value) <= maxLoggedHeader {
				fields, size = fields+1, size+len(name)+len(value)
				kept[name] = append(kept[name], value)
			}
		}
	}
	return kept, true
}

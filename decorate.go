package hooks

import (
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"sync"

	"github.com/seed-2c6e3a5a/hooks/internal/header"
)

// maxDropped bounds the names of headers in droppedHeaders.
const maxDropped = 100

// droppedHeaders has the names of headers that Config.Decorate has set and that were
// not sent. They are logged once each.
type droppedHeaders struct {
	mu    sync.Mutex
	names map[string]bool
}

// decorate adds the headers of Config.Decorate to the request of these messages, and to
// its log.
func (m *Manager) decorate(req *Request, msgs []Message) {
	if m.cfg.Decorate == nil {
		return
	}
	added := http.Header{}
	err := isolate(func() error {
		for _, msg := range msgs {
			m.cfg.Decorate(msg.Event, added)
		}
		return nil
	})
	if err != nil {
		m.reportPanic("Config.Decorate", err, "event", msgs[0].Event.ID)
		return
	}
	if len(added) > 0 {
		m.addHeaders(req, added)
	}
}

// addHeaders adds headers to the request, except those that are invalid or set by the
// protocol or the hook.
func (m *Manager) addHeaders(req *Request, added http.Header) {
	taken := make(map[string]bool, len(req.Header))
	for name := range req.Header {
		taken[header.Key(name)] = true
	}
	sent, logged := maps.Clone(req.Header), maps.Clone(req.LogHeader)
	if sent == nil {
		sent = http.Header{}
	}
	if logged == nil {
		logged = redactedHeader(req.Header)
	}
	count, size := 0, 0
	for _, name := range slices.Sorted(maps.Keys(added)) {
		values := added[name]
		if len(values) == 0 {
			continue
		}
		err := checkAdded(name, values, taken)
		more := len(name) * len(values)
		for _, value := range values {
			more += len(value)
		}
		if err == nil && (count+len(values) > maxEntries || size+more > maxEntryBytes) {
			err = &InvalidError{Field: name, Reason: fmt.Sprintf("is beyond %d values and %d bytes in all", maxEntries, maxEntryBytes)}
		}
		if err != nil {
			m.dropHeader(name, err)
			continue
		}
		count, size = count+len(values), size+more
		key := textproto.CanonicalMIMEHeaderKey(name)
		sent[key] = append(sent[key], values...)
		logged[key] = append(logged[key], values...)
	}
	req.Header, req.LogHeader = sent, logged
}

// checkAdded refuses a header that the request must not have.
func checkAdded(name string, values []string, taken map[string]bool) error {
	if taken[header.Key(name)] {
		return &InvalidError{Field: name, Reason: "is already set by the protocol or the hook"}
	}
	for _, value := range values {
		if err := checkHeader(name, name, value); err != nil {
			return err
		}
	}
	return nil
}

// dropHeader logs, once for each name and for at most maxDropped names, that a
// header is not sent.
func (m *Manager) dropHeader(name string, err error) {
	d := &m.dropped
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.names[name] || len(d.names) >= maxDropped {
		return
	}
	if d.names == nil {
		d.names = map[string]bool{}
	}
	d.names[name] = true
	m.log.Warn("hooks: a header that Config.Decorate has set is not sent", "header", printable(name), "error", err)
}

package hooks

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/seed-2c6e3a5a/hooks/internal/egress"
	"github.com/seed-2c6e3a5a/hooks/internal/ratelog"
)

// A Manager registers hooks, takes events and, while Run is running, delivers
// them. All its methods may be called concurrently, and all but Run work with
// or without a running Run, here or in another process.
type Manager struct {
	cfg       Config
	store     Store
	hooks     *sealedHooks
	owner     string
	log       *slog.Logger
	protocols map[string]Protocol
	// catalogue has the example of each type, which may be empty.
	catalogue   map[string]json.RawMessage
	policy      *egress.Policy
	index       *index
	filterSlots *filterSlots
	filterLog   *ratelog.Limiter
	dropped     droppedHeaders
	// send is for deliveries and keeps connections; sendOnce is for requests
	// made outside of Run and leaves nothing behind.
	send, sendOnce *sender
	// outside bounds those requests.
	outside *tenantSemaphore
	// engine is the running Run's, or nil.
	engine atomic.Pointer[engine]
}

// New returns a Manager over the store. It starts no goroutine and does not
// touch the store. A fault in cfg is an [InvalidError] whose field starts with
// "config.".
func New(store Store, cfg Config) (*Manager, error) {
	if isNil(store) {
		return nil, &InvalidError{Field: "store", Reason: "must not be nil"}
	}
	cfg, err := cfg.withDefaults(store)
	if err != nil {
		return nil, err
	}
	policy, err := newPolicy(cfg)
	if err != nil {
		return nil, err
	}
	sealed, err := newSealedHooks(store, cfg)
	if err != nil {
		return nil, err
	}
	m := &Manager{
		cfg:         cfg,
		store:       store,
		hooks:       sealed,
		owner:       newID(),
		log:         cfg.Logger,
		protocols:   map[string]Protocol{StandardWebhooks: newStandard(cfg)},
		catalogue:   make(map[string]json.RawMessage, len(cfg.Catalogue)),
		policy:      policy,
		filterSlots: newFilterSlots(max(1, runtime.GOMAXPROCS(0)/2)),
		filterLog:   ratelog.New(filterLogBurst, filterLogInterval),
		send:        newSender(cfg, policy),
		outside:     newTenantSemaphore(cfg.MaxInFlight),
	}
	m.sendOnce = m.send.once()
	for _, p := range cfg.Protocols {
		m.protocols[p.Name()] = p
	}
	for _, t := range cfg.Catalogue {
		m.catalogue[t.Name] = t.Example
	}
	m.index = newIndex(sealed, m, func(ref Ref) {
		if e := m.engine.Load(); e != nil {
			e.dispatch.EndpointChanged(ref)
			e.dispatch.SetTenants(m.index.countTenants())
		}
	}, func(err error) { m.report("read a hook", err) })
	return m, nil
}

// EventTypes returns the catalogue that the Manager was configured with.
func (m *Manager) EventTypes() []EventType { return cloneTypes(m.cfg.Catalogue) }

// Protocol returns the protocol of this name that the Manager speaks.
func (m *Manager) Protocol(name string) (Protocol, bool) {
	p, ok := m.protocols[name]
	return p, ok
}

// random saves system calls: it reads randomness for many IDs at once.
var random = struct {
	sync.Mutex
	*bufio.Reader
}{Reader: bufio.NewReaderSize(rand.Reader, 4096)}

// newID returns a new UUIDv7, RFC 9562 section 5.7.
func newID() string {
	random.Lock()
	defer random.Unlock()
	return uuid.Must(uuid.NewV7FromReader(random.Reader)).String()
}

// isNil reports whether v is nil, or a pointer that is.
func isNil(v any) bool {
	value := reflect.ValueOf(v)
	return !value.IsValid() || value.Kind() == reflect.Pointer && value.IsNil()
}

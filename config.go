package hooks

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/seed-2c6e3a5a/hooks/internal/backoff"
)

// Config sets a Manager up. Its zero value works. New copies it; later changes
// have no effect.
type Config struct {
	// Protocols are those besides Standard Webhooks. Each needs a name of its own and,
	// in its [Traits], a Schedule and a Timeout. Default: none.
	Protocols []Protocol
	// Catalogue lists the event types that the application triggers. When it is set,
	// other types are refused by Trigger and as exact names in Hook.Events,
	// which catches misspellings. At most 10,000, each Name once. Default: any
	// type.
	Catalogue []EventType

	// AllowNetworks lists CIDRs ("10.1.0.0/16") and addresses that hooks may reach
	// although the egress policy refuses them: special-purpose addresses
	// (loopback, private, link-local and so on), and those of this machine
	// ([net.InterfaceAddrs], read again each minute). Default: none.
	AllowNetworks []string
	// AllowPorts lists ports, 1 to 65535, that hooks may reach although they
	// belong to other protocols. Those are all ports below 1024 except 80 and 443,
	// and the ports that the fetch standard blocks, such as 6667
	// (https://fetch.spec.whatwg.org/#port-blocking). Default: none.
	AllowPorts []int
	// AllowHosts lists the only hosts that hooks may reach. "example.com" permits
	// that name alone, and "*.example.com" every name below it, at any depth. An
	// IP address permits itself. Letter case and a dot at the end do not matter.
	// The addresses of these hosts are still checked: a host with a private
	// address needs AllowNetworks as well. Default: any host.
	AllowHosts []string
	// AllowHTTP accepts endpoints without TLS. Default: https only.
	AllowHTTP bool
	// Dial replaces the dialer, for tests without a network, and for egress proxies
	// that have their own policy. Addresses are then not checked; ports and host
	// names still are. The attempt log, which owners of hooks may read, has the
	// texts of its errors. Default: a TCP dialer that refuses the addresses that
	// AllowNetworks describes, and tries at most 4 addresses of a name.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Resolver resolves the names of endpoints. Default: net.DefaultResolver.
	Resolver *net.Resolver
	// TLS is for endpoints with certificates of a private authority. Default:
	// the system's roots, TLS 1.2 and up.
	TLS *tls.Config
	// Schedule and Timeout are for hooks of the default protocol that set none
	// themselves; other protocols have their own. The bounds are those of
	// [Hook].Schedule and [Hook].Timeout. The first entry of a schedule is the
	// delay before the first attempt; [Retries] makes a schedule of the delays
	// before the retries. Default: ten attempts in three days (see
	// [StandardWebhooks]), and 15 s.
	Schedule []time.Duration
	Timeout  time.Duration
	// UserAgent is sent with every request of the default protocol. Printable ASCII.
	// Default: "hooks (+https://github.com/seed-2c6e3a5a/hooks)".
	UserAgent string

	// MaxInFlight bounds the requests that Run has under way at a time. A higher
	// bound helps if endpoints are slow, and costs memory and sockets. Up to 16 times as
	// many deliveries, with 64 MiB of data, are leased and in memory. If the process is
	// killed, they wait until their leases end, and at most 10 times as many requests as
	// this bound are made again: those under way, and those whose results were not stored.
	//
	// A fifth of the slots (128 of 640; of less than 640, up to half of them) are for
	// requests younger than 50 ms, so that slow endpoints leave some to the others.
	// [Manager.Test] and [Manager.Verify] have further slots: a quarter of this number, of
	// which a tenant gets a quarter, and at least 1 each. Default: 640; 1 to 10,000.
	MaxInFlight int
	// MaxInFlightPerHook bounds the requests of each hook that does not set
	// MaxInFlight itself. Default: 32; 1 to 10,000.
	MaxInFlightPerHook int
	// MaxHooks bounds the hooks of each tenant. Default: 1,000; negative: any
	// number.
	MaxHooks int
	// MaxPayload bounds Event.Data, in bytes. 1 B to 16 MiB. Default: 256 KiB.
	MaxPayload int
	// MaxResponse is how many bytes of a response's body the attempt log keeps.
	// Default: 16 KiB, at most 1 MiB; negative: none.
	MaxResponse int

	// Lease is how long a delivery belongs to a Manager that has claimed it. If
	// that Manager crashes, others take over its deliveries after this time. An
	// attempt takes at most three quarters of it. Default: 60 s; 1 s to 1 h.
	Lease time.Duration
	// Grace is how long Run waits for the requests under way after its context has
	// ended. Default: 10 s; negative: not at all.
	Grace time.Duration
	// PollInterval is how often Run asks the store for work that it does not know
	// of: retries left by others, and events from other processes and from
	// transactions of the application. [Manager.Wake] makes it ask at once. Default:
	// 100 ms, or 5 s if the store is a [Notifier]; 1 ms to 1 min.
	PollInterval time.Duration
	// DisableAfter is how long an endpoint may fail without any success
	// before its hook is disabled. Default: 5 days; negative: it is never disabled
	// for that.
	DisableAfter time.Duration
	// Retention is how long ended deliveries, their attempts and their events
	// are kept. Default: 30 days; negative: for ever.
	Retention time.Duration
	// MaxLogPerHook is how many ended deliveries of a hook are kept, with their
	// attempts, whatever Retention says. Once there are an eighth more, the oldest are
	// removed within a minute. Deliveries that hold an ordering key stay. An event is
	// removed with its last delivery; after that, its ID is no longer refused as a
	// duplicate. So keep more deliveries than a hook gets in the time in which you may
	// repeat a Trigger. Default: 0, which is any number.
	MaxLogPerHook int

	// Keys encrypt the Secrets, Headers and Settings of hooks before they reach
	// the store. No two have the same ID. The first key is the current one, which encrypts. The others only
	// decrypt what was encrypted with them. Run encrypts again, with the current
	// key, what was encrypted with another key or not at all. The ciphertext is bound to
	// the hook's tenant and ID, so that it is of no use in another hook.
	//
	// To change the key, first add the new one at the end of Keys in all processes
	// on the store, then move it to the front in all of them. Remove the old one
	// when the log says that all hooks are encrypted with the new one. Default: no
	// keys; nothing is encrypted, and the log says so.
	//
	// A hook that was encrypted with a key that is missing cannot be read or
	// updated, only deleted with [Manager.Delete]. Until then its deliveries fail,
	// and events of its tenant are refused with [ErrSealed], because the hook might
	// want them. Other tenants are not affected.
	Keys []Key
	// Seal and Open replace the current key, for example by a key management
	// service. Seal encrypts, and returns at least one byte. Open decrypts what
	// Seal returned for the same place, "hooks/<tenant>/<id>", with the tenant
	// escaped by [net/url.PathEscape]; both must use the place as associated data.
	// Open is called whenever a hook is read, so keep data keys in memory. Both may
	// be called concurrently, and must return when ctx has ended.
	//
	// If an error of Open wraps [ErrSealed], the hook counts as one whose key is
	// missing, see Keys. Any other error counts as temporary: reading the hook
	// fails, events of its tenant are refused, and its deliveries wait until a later
	// call succeeds. The Manager tries again at most twice a second. To go back to
	// Keys, set Open without Seal: Run then encrypts again, with Keys, what Seal
	// encrypted.
	Seal func(ctx context.Context, place string, plaintext []byte) (sealed []byte, err error)
	Open func(ctx context.Context, place string, sealed []byte) (plaintext []byte, err error)

	// Decorate adds headers such as traceparent to the request of each delivery
	// and of [Manager.Test], with any protocol. It is called just before the
	// request is sent, and gets an empty header to fill. For a request with
	// several events (see [Hook].MaxBatch), it is called once for each event, with
	// the same header: a later Set replaces an earlier one, and Add adds to it.
	// The attempt log shows the values, so they must not be secret.
	//
	// Decorate cannot replace headers of the protocol or the hook, not even by a name that
	// differs only in letter case or in characters other than letters and digits. Such
	// headers, those that a hook must not have (see [Hook].Headers), and those beyond 50
	// values or 16 KiB in all are not sent. The log
	// says so once for each name, up to 100 names. If Decorate panics, the request
	// is sent without its headers. It is called concurrently, must be quick, and
	// must not change the event or keep the header. Default: nothing is added.
	Decorate func(*Event, http.Header)

	// Logger gets what an operator should know. Default: slog.Default().
	Logger *slog.Logger
	// Observer has functions that are called for what happens, for metrics and alerts.
	// Default: none.
	Observer Observer
}

// An Observer has functions that the Manager calls for what happens. They are optional and
// may be called concurrently. They must be quick, and must not change the event that they
// get, because it is shared. A panic in one is logged.
type Observer struct {
	// Attempt is called after an attempt has been stored. Run calls it for one
	// attempt after another.
	Attempt func(Delivery, Attempt, *Event)
	// Ended is called after the end of a delivery has been stored. The delivery
	// has succeeded, is dead, or was cancelled: by [Manager.Cancel], by the hook's
	// filter, or because its hook was deleted, disabled or not verified. Run calls
	// Ended for one delivery after another, each after the Attempt that ended it.
	// [Manager.Cancel] calls it before it returns.
	//
	// A delivery that is redelivered ends again, and so does one that is dead and
	// held when it is cancelled. There is no delivery, and so no end, if the
	// filter refuses the event when it is triggered. [Manager.Delete] and
	// [Manager.Update] end no delivery: those of a deleted or disabled hook end
	// when they fall due.
	//
	// The call is lost if the process dies after the commit, or if the store
	// commits but returns an error. So use the log to count what must be exact. If
	// Cancel cannot read the event, Failure is called, and the event has only ID,
	// Tenant, Type and OrderingKey.
	Ended func(Delivery, *Event)
	// HookDisabled is called after the Manager itself has disabled a hook.
	// Hook.DisabledReason says why.
	HookDisabled func(Hook)
	// FilterFailed is called when a filter could not be evaluated, so that the event
	// was not delivered to the hook. Trigger calls it, and Run does for deliveries that
	// Trigger left undecided. For each tenant, it is called at most ten times at once,
	// and then once in ten seconds. The same holds for the line in the log, which says
	// how many were left out.
	FilterFailed func(Hook, Event, error)
	// Failure is called when the store or code of the application fails. Run goes on
	// and tries again.
	Failure func(error)
}

// An EventType is an entry of [Config].Catalogue.
type EventType struct {
	// Name is the type, with the characters and bounds of Event.Type.
	Name        string
	Description string
	// Example is a sample of Event.Data: JSON in UTF-8 of at most MaxPayload bytes.
	// [Manager.Test] sends it in events without Data. Default: none.
	Example json.RawMessage
}

const (
	maxTimeout       = 30 * time.Second
	maxPayloadLimit  = 16 << 20
	defaultTimeout   = 15 * time.Second
	defaultUserAgent = "hooks (+https://github.com/seed-2c6e3a5a/hooks)"
)

// withDefaults returns a copy of c that is complete and valid.
func (c Config) withDefaults(store Store) (Config, error) {
	poll := 100 * time.Millisecond
	if _, ok := store.(Notifier); ok {
		poll = 5 * time.Second
	}
	c.Protocols = slices.Clone(c.Protocols)
	c.Catalogue = cloneTypes(c.Catalogue)
	c.AllowNetworks = slices.Clone(c.AllowNetworks)
	c.Keys = slices.Clone(c.Keys)
	if c.Schedule = slices.Clone(c.Schedule); len(c.Schedule) == 0 {
		c.Schedule = backoff.DefaultSchedule()
	}
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	c.AllowPorts = slices.Clone(c.AllowPorts)
	c.AllowHosts = slices.Clone(c.AllowHosts)
	c.UserAgent = cmp.Or(c.UserAgent, defaultUserAgent)
	c.MaxInFlight = cmp.Or(c.MaxInFlight, 640)
	c.MaxInFlightPerHook = cmp.Or(c.MaxInFlightPerHook, 32)
	c.MaxHooks = cmp.Or(c.MaxHooks, 1000)
	c.MaxPayload = cmp.Or(c.MaxPayload, 256<<10)
	c.MaxResponse = cmp.Or(c.MaxResponse, maxResponse)
	c.Lease = cmp.Or(c.Lease, time.Minute)
	c.Grace = cmp.Or(c.Grace, 10*time.Second)
	c.PollInterval = cmp.Or(c.PollInterval, poll)
	c.DisableAfter = cmp.Or(c.DisableAfter, 5*24*time.Hour)
	c.Retention = cmp.Or(c.Retention, 30*24*time.Hour)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	return c, c.validate()
}

func (c Config) validate() error {
	invalid := func(field, format string, args ...any) error {
		return &InvalidError{Field: "config." + field, Reason: fmt.Sprintf(format, args...)}
	}
	switch {
	case c.MaxInFlight < 1 || c.MaxInFlight > 10_000:
		return invalid("maxInFlight", "must be 1 to 10000")
	case c.MaxInFlightPerHook < 1 || c.MaxInFlightPerHook > 10_000:
		return invalid("maxInFlightPerHook", "must be 1 to 10000")
	case c.MaxPayload < 1 || c.MaxPayload > maxPayloadLimit:
		return invalid("maxPayload", "must be 1 to %d bytes", maxPayloadLimit)
	case c.MaxResponse > maxResponseLimit:
		return invalid("maxResponse", "must be at most %d bytes", maxResponseLimit)
	case c.Lease < time.Second || c.Lease > time.Hour:
		return invalid("lease", "must be 1s to 1h")
	case c.PollInterval < time.Millisecond || c.PollInterval > time.Minute:
		return invalid("pollInterval", "must be 1ms to 1m")
	case c.MaxLogPerHook < 0:
		return invalid("maxLogPerHook", "must not be negative")
	case strings.ContainsFunc(c.UserAgent, func(r rune) bool { return r < ' ' || r > '~' }):
		return invalid("userAgent", "must be printable ASCII")
	}
	for i, p := range c.Protocols {
		if isNil(p) || p.Name() == "" || p.Name() == StandardWebhooks {
			return invalid(fmt.Sprintf("protocols[%d]", i), "must have a name of its own")
		}
		if slices.ContainsFunc(c.Protocols[:i], func(o Protocol) bool { return o.Name() == p.Name() }) {
			return invalid(fmt.Sprintf("protocols[%d]", i), "%q is there twice", p.Name())
		}
		t := p.Traits()
		if len(t.Schedule) == 0 || t.Timeout <= 0 || t.Timeout > maxTimeout {
			return invalid(fmt.Sprintf("protocols[%d]", i), "must have a schedule and a timeout of at most %v", maxTimeout)
		}
		if err := checkSchedule(fmt.Sprintf("config.protocols[%d].schedule", i), t.Schedule); err != nil {
			return err
		}
	}
	return firstError(
		checkSchedule("config.schedule", c.Schedule),
		checkTimeout("config.timeout", c.Timeout),
		c.checkCatalogue(),
	)
}

func (c Config) checkCatalogue() error {
	if len(c.Catalogue) > maxCatalogue {
		return &InvalidError{Field: "config.catalogue", Reason: fmt.Sprintf("must have at most %d entries", maxCatalogue)}
	}
	seen := make(map[string]bool, len(c.Catalogue))
	for i, t := range c.Catalogue {
		field := fmt.Sprintf("config.catalogue[%d]", i)
		if err := checkType(field+".name", t.Name); err != nil {
			return err
		}
		if seen[t.Name] {
			return &InvalidError{Field: field + ".name", Reason: fmt.Sprintf("%q is there twice", t.Name)}
		}
		seen[t.Name] = true
		if len(t.Example) == 0 {
			continue
		}
		if err := checkData(field+".example", t.Example, c.MaxPayload); err != nil {
			return err
		}
	}
	return nil
}

// cloneTypes returns a copy of the types that shares nothing with them.
func cloneTypes(types []EventType) []EventType {
	types = slices.Clone(types)
	for i := range types {
		types[i].Example = slices.Clone(types[i].Example)
	}
	return types
}

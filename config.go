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
)

// Config sets a Manager up. Its zero value works. New copies it; later changes
// have no effect.
type Config struct {
	// Protocols are spoken besides Standard Webhooks. Default: none.
	Protocols []Protocol
	// Catalogue lists the event types that the host triggers. When it is set,
	// other types are refused by Trigger and as exact names in Hook.Events,
	// which catches misspellings. At most 10,000. Default: any type.
	Catalogue []EventType

	// AllowNetworks lists CIDRs ("10.1.0.0/16") and addresses that hooks may
	// reach although they are special-purpose (loopback, private, link-local
	// and so on) or belong to this machine (those of [net.InterfaceAddrs], read
	// again each minute), all of which are refused otherwise. Default: none.
	AllowNetworks []string
	// AllowPorts lists ports, 1 to 65535, that hooks may reach although servers
	// of other protocols are likely to be there: those below 1024 but 80 and
	// 443, and those that the fetch standard blocks
	// (https://fetch.spec.whatwg.org/#port-blocking), such as 6667. Default: none.
	AllowPorts []int
	// AllowHosts lists the only hosts that hooks may reach: "example.com" is
	// that name alone, "*.example.com" every name below it at any depth, and an
	// IP address itself. Letter case and a dot at the end do not matter. The
	// addresses are checked all the same: to reach a host that is at a private
	// one takes AllowNetworks as well. Default: any host.
	AllowHosts []string
	// AllowHTTP accepts endpoints without TLS. Default: https only.
	AllowHTTP bool
	// Dial replaces the dialer and with it the check of the addresses that
	// are dialled, for tests without a network and for egress proxies that
	// have a policy of their own. AllowPorts and AllowHosts hold all the same.
	// Default: a TCP dialer that refuses what AllowNetworks does not allow, and
	// tries at most 4 addresses of a name.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Resolver resolves the names of endpoints. Default: net.DefaultResolver.
	Resolver *net.Resolver
	// TLS is for endpoints with certificates of a private authority. Default:
	// the system's roots, TLS 1.2 and up.
	TLS *tls.Config
	// Schedule and Timeout are those of hooks that speak the default protocol
	// and set none themselves, with the bounds of [Hook].Schedule and
	// [Hook].Timeout. The first entry of a schedule is the delay before the
	// first attempt: [Retries] makes one of the delays before the retries.
	// Default: as [StandardWebhooks] says, ten attempts in three days and 15 s.
	Schedule []time.Duration
	Timeout  time.Duration
	// UserAgent is sent with every request of the default protocol. Default:
	// "hooks (+https://github.com/seed-2c6e3a5a/hooks)".
	UserAgent string

	// MaxInFlight bounds the requests that Run has under way at a time. More
	// help where endpoints are slow, and cost memory and sockets. A fifth of
	// them (of less than 640, up to 128, half of them) are for requests younger
	// than 50 ms, so that slow endpoints leave some to the others. A quarter as
	// many, and at least 1, are for [Manager.Test] and [Manager.Verify] beside
	// them, of which a tenant gets a quarter, and at least 1. Default: 640.
	MaxInFlight int
	// MaxInFlightPerHook is the same for one hook that sets none itself.
	// Default: 32.
	MaxInFlightPerHook int
	// MaxHooks bounds the hooks of each tenant. Default: 1,000; negative: any
	// number.
	MaxHooks int
	// MaxPayload bounds Event.Data, in bytes. Default: 256 KiB, at most 16 MiB.
	MaxPayload int
	// MaxAnswer is how many bytes of an answer's body the attempt log keeps.
	// Default: 16 KiB, at most 1 MiB; negative: none.
	MaxAnswer int

	// Lease is how long a delivery belongs to a Manager that took it. One
	// that crashes leaves its deliveries to others after this time. An
	// attempt takes at most three quarters of it. Default: 60 s; at least 1 s.
	Lease time.Duration
	// Grace is how long Run lets the requests under way go on once its
	// context has ended. Default: 10 s; negative: not at all.
	Grace time.Duration
	// PollInterval is how often Run asks the store for work that it was not
	// told of: retries left by others, events from other processes and from
	// transactions of the host (but see [Manager.Wake]). Default: 100 ms, or
	// 5 s if the store is a [Notifier].
	PollInterval time.Duration
	// DisableAfter is how long an endpoint may fail without any success
	// before its hook is disabled. Default: 5 days; negative: for ever.
	DisableAfter time.Duration
	// Retention is how long ended deliveries, their attempts and their events
	// are kept. Default: 30 days; negative: for ever.
	Retention time.Duration
	// MaxLogPerHook is how many ended deliveries of a hook are kept, with
	// their attempts, whatever Retention says. When there are an eighth more,
	// those that ended first are removed, within a minute, until there are no
	// more than that; deliveries that hold an ordering key back stay. An event
	// goes with its last delivery, and a second one with its ID is then no
	// duplicate any more: so keep more than a hook gets in the time in which
	// you might repeat a Trigger. Default 0: any number, since how long that
	// protects should not depend on the traffic unless you say so.
	MaxLogPerHook int

	// Keys encrypt what is secret of hooks (Secrets, Headers and Settings)
	// before it reaches the store. The first is the current one. The others
	// only decrypt what was encrypted with them; Run stores that anew with the
	// current key, and so what was stored before there were keys. To change
	// the key, give all processes on the store the new one as the last, then
	// put it first everywhere; drop the old one when the log has said that all
	// hooks are encrypted with the new one. What is encrypted is bound to the
	// hook's tenant and ID.
	//
	// A hook that no key fits cannot be read or updated, only deleted with
	// [Manager.Delete]. As long as it is there, events of its tenant are refused
	// with [ErrSealed], because nobody knows whether the hook wants them, and its
	// deliveries fail. Other tenants are not affected. With the right key it is
	// what it was. Default: none, and nothing is encrypted, of which the log has a
	// line.
	Keys []Key
	// Seal and Open take the place of the current key, for a key management
	// service. Seal encrypts, and returns at least a byte; Open decrypts what Seal
	// returned for the same place, "hooks/<tenant>/<id>" with the tenant as
	// [net/url.PathEscape] has it, which is to be bound to the ciphertext as associated
	// data. Open is called whenever a hook is read, so keep data keys in memory.
	// They may be called concurrently, and have to return when ctx has ended.
	//
	// If an error of Open wraps [ErrSealed], no key fits the hook, see Keys. Any
	// other is temporary: what reads the hook fails, events of its tenant are
	// refused, and its deliveries wait, until a later call succeeds. The Manager
	// tries again twice a second at most. With Open alone, hooks that Seal has
	// encrypted are stored anew with Keys.
	Seal, Open Seal

	// Decorate, if set, adds headers such as traceparent to the request of each
	// delivery and of [Manager.Test], whatever its protocol, just before it is
	// sent. It gets an empty header, to Set or Add to. For a request with several
	// events (see [Hook].MaxBatch), it is called for one after another with the
	// same header: what it Sets for the last one counts, and what it Adds for
	// each of them goes together. The attempt log shows the values, so they
	// should be no secrets.
	//
	// A header that the protocol or the hook has set stays as it is, also if the
	// names have the same [HeaderKey]. That one, what
	// [CheckHeader] refuses, and what is more than 50 values or 16 KiB in all,
	// is not sent, which the log tells once for each name. If Decorate panics,
	// the request is sent without. It is called concurrently, has to be quick,
	// and must neither change the event nor keep the header. Default: nothing is
	// added.
	Decorate func(*Event, http.Header)

	// Logger gets what an operator should know. Default: slog.Default().
	Logger *slog.Logger
	// Observer is told what happens, for metrics and alerts. Default: nobody.
	Observer Observer
}

// An Observer is told what happens. Its functions, all optional, may be called
// concurrently. They must be quick; a panic in one is logged. An event that one
// is given is shared, and must not be changed.
type Observer struct {
	// Attempt is called after an attempt has been stored, for one after another
	// by the goroutine of Run that stores the results.
	Attempt func(Delivery, Attempt, *Event)
	// Ended is called after the end of a delivery has been stored, whatever
	// ended it: succeeded, dead, or cancelled by [Manager.Cancel], because of
	// its hook or by the hook's filter. It is called after Attempt, if an
	// attempt ended the delivery, and by the same goroutine; for Cancel it is
	// called by the caller's, before Cancel returns. What is redelivered ends
	// again, and so does a held dead delivery that is cancelled. A filter that
	// refuses the event already when it is triggered makes no delivery, and
	// Delete and Update end none: what waits for a hook that is gone or
	// disabled ends when it falls due.
	//
	// There is no call if the process dies between the commit and the call, or
	// if the store does not answer that it has committed. So count in the log
	// what must be exact. If Cancel cannot read the event, it has ID, Tenant,
	// Type and Key only, and Failure is told.
	Ended func(Delivery, *Event)
	// HookDisabled is called after the Manager has disabled a hook by itself,
	// for Hook.DisabledReason.
	HookDisabled func(Hook)
	// FilterFailed is called when a filter could not be evaluated, so that
	// the event was not delivered to the hook. It is called by Trigger and,
	// for what was left undecided there, by Run. For each tenant it is called
	// ten times at once and then once in ten seconds at most, and so is the
	// line in the log, which says how many were left out.
	FilterFailed func(Hook, Event, error)
	// Failure is called when the store or code of the host fails. Run goes on
	// and tries again.
	Failure func(error)
}

// An EventType is an entry of [Config].Catalogue.
type EventType struct {
	// Name is the type, as in Event.Type.
	Name        string
	Description string
	// Example is a sample of Event.Data, for documentation: JSON of at most
	// MaxPayload bytes. [Manager.Test] sends it in events of the type that have
	// no Data. Default: none.
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
		c.Schedule = defaultSchedule
	}
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	c.AllowPorts = slices.Clone(c.AllowPorts)
	c.AllowHosts = slices.Clone(c.AllowHosts)
	c.UserAgent = cmp.Or(c.UserAgent, defaultUserAgent)
	c.MaxInFlight = cmp.Or(c.MaxInFlight, 640)
	c.MaxInFlightPerHook = cmp.Or(c.MaxInFlightPerHook, 32)
	c.MaxHooks = cmp.Or(c.MaxHooks, 1000)
	c.MaxPayload = cmp.Or(c.MaxPayload, 256<<10)
	c.MaxAnswer = cmp.Or(c.MaxAnswer, maxAnswer)
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
	case c.MaxAnswer > maxAnswerLimit:
		return invalid("maxAnswer", "must be at most %d bytes", maxAnswerLimit)
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
		if p == nil || p.Name() == "" || p.Name() == StandardWebhooks {
			return invalid(fmt.Sprintf("protocols[%d]", i), "must have a name of its own")
		}
		if slices.ContainsFunc(c.Protocols[:i], func(o Protocol) bool { return o.Name() == p.Name() }) {
			return invalid(fmt.Sprintf("protocols[%d]", i), "%q is there twice", p.Name())
		}
		if t := p.Traits(); len(t.Schedule) == 0 || t.Timeout <= 0 || t.Timeout > maxTimeout {
			return invalid(fmt.Sprintf("protocols[%d]", i), "must have a schedule and a timeout of at most %v", maxTimeout)
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

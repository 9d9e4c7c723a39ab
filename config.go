package hooks

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
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
	// transactions of the host. Default: 100 ms, or 5 s if the store is a
	// [Notifier].
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

	// Logger gets what an operator should know. Default: slog.Default().
	Logger *slog.Logger
	// Observer is told what happens, for metrics and alerts. Default: nobody.
	Observer Observer
}

// An Observer is told what happens. Its functions, all optional, may be called
// concurrently, but for Attempt, which is called for one after another by the
// goroutine that stores the results. They must be quick; a panic in one is
// logged.
type Observer struct {
	// Attempt is called after an attempt has been stored.
	Attempt func(Delivery, Attempt)
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
	// Example is a sample of Event.Data, for documentation and [Manager.Test].
	Example json.RawMessage
}

const (
	maxTimeout       = 30 * time.Second
	maxPayloadLimit  = 16 << 20
	defaultUserAgent = "hooks (+https://github.com/seed-2c6e3a5a/hooks)"
)

// withDefaults returns a copy of c that is complete and valid.
func (c Config) withDefaults(store Store) (Config, error) {
	poll := 100 * time.Millisecond
	if _, ok := store.(Notifier); ok {
		poll = 5 * time.Second
	}
	c.Protocols = slices.Clone(c.Protocols)
	c.Catalogue = slices.Clone(c.Catalogue)
	c.AllowNetworks = slices.Clone(c.AllowNetworks)
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
	if len(c.Catalogue) > maxCatalogue {
		return invalid("catalogue", "must have at most %d entries", maxCatalogue)
	}
	for i, t := range c.Catalogue {
		field := fmt.Sprintf("config.catalogue[%d].name", i)
		if err := checkType(field, t.Name); err != nil {
			return err
		}
	}
	return nil
}

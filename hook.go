package hooks

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"
)

// A Hook is one subscription: which events go to which URL, and how.
//
// The zero value of every field but URL and Events is a working default. A
// Hook is a plain value: changing one that a Manager returned changes nothing
// until it is given to [Manager.Update]. Text is UTF-8 without NUL. Beside the bounds of
// each field, all fields together have at most 128 KiB.
type Hook struct {
	// ID names the hook within its tenant. Register makes one (a UUIDv7) when
	// it is empty. 1 to 128 of the characters a-z, A-Z, 0-9, "_" and "-". It
	// never changes.
	ID string
	// Tenant is the scope of the hook: only events of the same tenant reach
	// it. The empty string is a tenant like any other, for applications that
	// have just one. At most 256 bytes. It never changes.
	Tenant string
	// Name and Description are for people. At most 1024 and 4096 bytes.
	Name        string
	Description string

	// Disabled hooks receive nothing. A delivery that falls due while its
	// hook is disabled is cancelled.
	Disabled bool
	// DisabledReason says why, when the Manager disabled the hook by itself.
	// Enabling the hook clears it. At most 4096 bytes.
	DisabledReason string
	// Verified says that the endpoint has proved that it wants the traffic.
	// [Manager.Verify] sets it, a change of URL clears it, and an application may set
	// it for an endpoint that it knows. Protocols whose
	// [Traits].RequireVerified is set deliver to verified hooks only.
	Verified bool

	// Events lists the event types that the hook wants: exact names, prefixes
	// that end in ".*" ("order.*" is every type that starts with "order."),
	// or "*" for all. 1 to 1000, none twice, each of 1 to 256 bytes and of the
	// characters of [Event].Type. If [Config].Catalogue is set, exact names must
	// be in it.
	Events []string
	// Filter narrows Events by an expression over the event, for example
	// `data.total > 100 && metadata.region == "eu"`. Empty: no filter. At most
	// 4096 bytes, and 400 values, names and operators. The language is described
	// in https://github.com/seed-2c6e3a5a/hooks/blob/main/docs/filters.md.
	Filter string

	// URL is where deliveries go: absolute, http or https, without userinfo
	// or fragment, at most 2048 bytes. See [Config].AllowHTTP, AllowNetworks,
	// AllowPorts and AllowHosts for what is refused.
	URL string
	// Method of the requests, if the protocol lets hooks choose it. Standard
	// Webhooks only takes POST. Default: the protocol's.
	Method string
	// Headers are sent with every delivery, if the protocol does so, as Standard
	// Webhooks does. Their values may be credentials: they appear in no log. At
	// most 50, 16 KiB in all with their names. A name is a token (RFC 9110, section
	// 5.6.2), a value is UTF-8 without control characters except tabs. Framing and hop-by-hop headers and those that carry
	// the signature are refused, as are names that a receiver may take for those,
	// or for each other, because they differ only in letter case or in characters
	// other than letters and digits.
	Headers map[string]string
	// Secrets sign the deliveries, the current ones first. Register makes one
	// when there is none and the protocol signs. At most 10, each of at most
	// 4 KiB.
	Secrets []SigningSecret

	// Schedule holds the delay before EACH attempt, the first one included. The
	// first entry, usually 0, counts from the trigger, each other from the end of
	// the previous attempt. So {5 * time.Second, time.Minute} waits for 5 s before
	// the first attempt, and has one retry. [Retries] makes a schedule of the
	// delays before the retries: Retries(5*time.Second, time.Minute) makes an
	// attempt at once, and two retries. A delivery gets at most as many attempts
	// as its schedule has entries.
	//
	// Each retry's delay is lengthened by a random jitter of at most a fifth, or
	// [Traits].Jitter. A delay of 0 is none; but from the third retry on, delays
	// of less than 1 s are lengthened to 1 s, 2 s, 4 s and so on, up to a minute.
	// Default: the protocol's, see [Config].Schedule. At most 101 entries (100
	// retries), each 0 to 7 days.
	Schedule []time.Duration
	// Timeout bounds one attempt, from the look-up of the name to the last
	// byte of the response. Default: the protocol's, see [Config].Timeout. At most
	// 30 s.
	Timeout time.Duration
	// RateLimit bounds the attempts a second that one Manager makes: 0.0001 to
	// 1,000,000. Default 0: no limit.
	RateLimit float64
	// MaxInFlight bounds the requests that one Manager has under way at a
	// time. At most 10,000. Default: [Config].MaxInFlightPerHook.
	MaxInFlight int
	// MaxBatch is how many events may share a request, if the protocol can put
	// several into one: at most [Traits].MaxBatch. A batch succeeds and fails as one,
	// and has at most 1 MiB of data, or one event. Default: 1.
	MaxBatch int
	// BatchWindow is how long a delivery that is due waits for others to share
	// its request, unless there are MaxBatch of them earlier. It waits in
	// memory: after a crash it is sent when its lease has ended. At most 10 s.
	// Default 0: only those share a request that are waiting anyway.
	BatchWindow time.Duration
	// HoldDead says what follows when a delivery with an ordering key is dead. If
	// false, the next of its key is sent. If true, the dead delivery holds its
	// key until it is redelivered or cancelled.
	HoldDead bool

	// Protocol names what deliveries look like on the wire, one of
	// [Config].Protocols. Default: [StandardWebhooks].
	Protocol string
	// Settings are the protocol's own, JSON in UTF-8 that only the protocol reads.
	// At most 64 KiB.
	Settings json.RawMessage
	// Metadata is the application's, stored and returned. At most 50 entries, 16 KiB
	// in all with their keys.
	Metadata map[string]string

	// Sealed is what stores get instead of Headers, Secrets and Settings when
	// these are encrypted, see [Config].Keys. It is empty in all hooks that a
	// Manager takes and returns.
	Sealed []byte

	// Version counts the changes, from 1. Only the Manager sets it.
	Version int64
	// CreatedAt and UpdatedAt are set by the Manager, in UTC milliseconds.
	CreatedAt time.Time
	UpdatedAt time.Time
	// Health is how the endpoint has been doing. Only the engine changes it,
	// without a new Version.
	Health Health
}

// String names the hook. It leaves out what may be secret: Headers, Settings,
// Secrets, and the userinfo and query of the URL.
func (h Hook) String() string {
	return printable(fmt.Sprintf("hook %q of tenant %q to %s", h.ID, h.Tenant, cmp.Or(withoutSecrets(h.URL), "no URL")))
}

// GoString is String, for %#v.
func (h Hook) GoString() string { return h.String() }

// LogValue is String, for log/slog.
func (h Hook) LogValue() slog.Value { return slog.StringValue(h.String()) }

// Ref returns the hook's name among all hooks of all tenants.
func (h Hook) Ref() Ref { return Ref{h.Tenant, h.ID} }

// Clone returns a copy that shares no memory with h.
func (h Hook) Clone() Hook {
	h.Events = slices.Clone(h.Events)
	h.Headers = maps.Clone(h.Headers)
	h.Secrets = slices.Clone(h.Secrets)
	h.Schedule = slices.Clone(h.Schedule)
	h.Settings = slices.Clone(h.Settings)
	h.Metadata = maps.Clone(h.Metadata)
	h.Sealed = slices.Clone(h.Sealed)
	return h
}

// CurrentSecret returns the first of Secrets that has not expired at now, or false
// if there is none. It is for protocols that use one secret at a time.
func (h Hook) CurrentSecret(now time.Time) (Secret, bool) {
	for _, s := range h.Secrets {
		if s.ExpiresAt.IsZero() || s.ExpiresAt.After(now) {
			return s.Secret, true
		}
	}
	return "", false
}

// A Ref names a hook among all hooks of all tenants.
type Ref struct{ Tenant, ID string }

// A SigningSecret is a secret and the time until which it signs.
type SigningSecret struct {
	Secret Secret
	// ExpiresAt is when the secret stops signing, in the years 1 to 9999. It is
	// kept in UTC milliseconds. Zero: never.
	ExpiresAt time.Time
}

// Health is what the last attempts said of a hook's endpoint.
type Health struct {
	// Failures counts the failed attempts since the last success.
	Failures int
	// FailingSince is when the first of them ended. Zero: none has failed
	// since.
	FailingSince time.Time
	// ThrottledUntil is when the endpoint may be asked again after it said
	// that it is overloaded. Zero: now.
	ThrottledUntil time.Time
}

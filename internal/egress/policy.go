// Package egress decides where requests may go, and makes the connections for them.
//
// A [Policy] refuses special-purpose addresses, ports of other protocols, and hosts that
// are not allowed. [Policy.NewTransport] returns a transport whose connections keep to the
// policy, whatever a name resolves to, and which keeps what endpoints send unasked away from
// net/http.
package egress

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"syscall"

	"code.dny.dev/ssrf"
)

// A Policy says which hosts, ports and addresses requests may go to. It may be used
// concurrently.
//
// It refuses every special-purpose address of the IANA registries and, of IPv6, whatever
// lies outside 2000::/3, which is where the forms that embed an IPv4 address are
// (IPv4-mapped and -compatible, SIIT, NAT64); 6to4 and Teredo are in the registry. It refuses
// the addresses of this machine as well, because packets to them pass no firewall. Networks
// that are allowed explicitly come before all that.
//
// Three checks apply the policy. ParseURL and CheckLiteral check a URL when it is stored,
// so that its author gets an error early. CheckRequest checks scheme, host name and port of
// each request. Control checks each address that is dialled, whatever the name resolved to
// this time. The last two are those that protect.
type Policy struct {
	allowNetworks []netip.Prefix
	allowPorts    []int
	allowHosts    hostList
	allowHTTP     bool
	registry      *ssrf.Guardian
	own           *ownAddrs
	resolver      *net.Resolver
	log           *hostLog
}

// A Config sets a Policy up. Its zero value allows nothing that is refused by default.
type Config struct {
	AllowHTTP     bool     // requests without TLS
	AllowNetworks []string // in CIDR notation, or single addresses
	AllowPorts    []int
	AllowHosts    []string // the only hosts, or "*." and a domain; empty: any
	Resolver      *net.Resolver
	Logger        *slog.Logger // required
}

// azureWireServer is where Azure machines reach the platform's own services: a
// public address, in no registry, but link-local in effect.
// https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
var azureWireServer = netip.MustParsePrefix("168.63.129.16/32")

// NewPolicy returns a Policy. A bad element of AllowNetworks, AllowPorts or AllowHosts is
// an [InvalidError] whose field is, for example, "allowPorts[1]".
func NewPolicy(cfg Config) (*Policy, error) {
	log := newHostLog(cfg.Logger)
	p := &Policy{
		allowPorts: cfg.AllowPorts,
		allowHTTP:  cfg.AllowHTTP,
		registry:   ssrf.New(ssrf.WithDeniedV4Prefixes(azureWireServer)),
		own:        &ownAddrs{read: net.InterfaceAddrs, log: log.log},
		resolver:   cmp.Or(cfg.Resolver, net.DefaultResolver),
		log:        log,
	}
	for i, s := range cfg.AllowNetworks {
		network, err := parseNetwork(s)
		if err != nil {
			return nil, &InvalidError{Field: fmt.Sprintf("allowNetworks[%d]", i), Reason: err.Error()}
		}
		p.allowNetworks = append(p.allowNetworks, network)
	}
	for i, port := range cfg.AllowPorts {
		if port < 1 || port > 65535 {
			return nil, &InvalidError{Field: fmt.Sprintf("allowPorts[%d]", i), Reason: "must be 1 to 65535"}
		}
	}
	for i, s := range cfg.AllowHosts {
		if err := p.allowHosts.add(s); err != nil {
			return nil, &InvalidError{Field: fmt.Sprintf("allowHosts[%d]", i), Reason: err.Error()}
		}
	}
	return p, nil
}

// parseNetwork reads a CIDR or a single address. An IPv4-mapped one becomes
// plain IPv4, the form that permits compares.
func parseNetwork(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if addr, addrErr := netip.ParseAddr(s); addrErr == nil && addr.Zone() == "" {
		p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	if err != nil {
		return p, fmt.Errorf("must be a CIDR such as 10.1.0.0/16 or an IP address, not %q", s)
	}
	if p != p.Masked() {
		return p, fmt.Errorf("must not have bits beyond the prefix length: %s is in %s", s, p.Masked())
	}
	if p.Addr().Is4In6() {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p, nil
}

// Permits reports whether connections to addr are permitted.
func (p *Policy) Permits(addr netip.Addr) bool { return p.refusal(addr) == "" }

// refusal says why connections to addr are refused, as the end of a sentence that
// starts with the address. Empty: they are not.
//
// Dialling an IPv4-mapped address (::ffff:10.0.0.1) reaches the IPv4 address itself, so it
// is permitted if that one is. Every other form that embeds an IPv4 address is checked as
// the IPv6 address that it is: allowing 10.0.0.0/8 does not allow 64:ff9b::10.0.0.1.
func (p *Policy) refusal(addr netip.Addr) string {
	target := addr.Unmap()
	switch {
	case slices.ContainsFunc(p.allowNetworks, func(n netip.Prefix) bool { return n.Contains(target) }):
		return ""
	case p.registry.SafeAddr(addr) != nil:
		return "is not a public address"
	case p.own.has(target):
		return "is an address of this machine"
	}
	return ""
}

// otherProtocols are the ports from 1024 on that the fetch standard calls bad,
// because servers there might take an HTTP request for one in their own protocol.
// https://fetch.spec.whatwg.org/#port-blocking
var otherProtocols = []int{
	1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566,
	6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
}

// PermitsPort reports whether the policy permits connections to the port. Of
// those below 1024, all but 80 and 443 belong to other protocols.
func (p *Policy) PermitsPort(port int) bool {
	switch {
	case port == 80, port == 443, slices.Contains(p.allowPorts, port):
		return true
	case slices.Contains(otherProtocols, port):
		return false
	}
	return port >= 1024 && port <= 65535
}

// CheckRequest returns a [ForbiddenError] unless requests may go to the URL by its scheme,
// host and port.
func (p *Policy) CheckRequest(u *url.URL) error {
	if err := p.forbidden(u); err != nil {
		p.logRefusal(u.Hostname(), err)
		return err
	}
	return nil
}

// forbidden returns why requests may not go to the URL, or nil.
func (p *Policy) forbidden(u *url.URL) *ForbiddenError {
	if u.Scheme == "http" && !p.allowHTTP {
		return &ForbiddenError{Rule: "http has no TLS", Hint: hintHTTP}
	}
	if !p.allowHosts.has(u.Hostname()) {
		return &ForbiddenError{Rule: "the host is not one that it allows", Hint: hintHosts}
	}
	if u.Port() == "" {
		return nil
	}
	if port, err := strconv.Atoi(u.Port()); err != nil || !p.PermitsPort(port) {
		return &ForbiddenError{Rule: "the port belongs to another protocol", Hint: hintPorts}
	}
	return nil
}

// The hints say what the operator can do about a refusal.
const (
	hintNetworks = "Config.AllowNetworks can allow it"
	hintPorts    = "Config.AllowPorts can allow it"
	hintHosts    = "Config.AllowHosts can allow it"
	hintHTTP     = "Config.AllowHTTP can allow http"
)

// Control checks an address that is about to be dialled, for [net.Dialer].ControlContext.
// Its errors are [ForbiddenError]s.
func (p *Policy) Control(_ context.Context, network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return &ForbiddenError{Rule: fmt.Sprintf("the network is %q, only TCP is permitted", network)}
	}
	dst, err := netip.ParseAddrPort(address)
	if err != nil {
		return &ForbiddenError{Rule: fmt.Sprintf("%q is not an IP address with a port", address)}
	}
	if rule := p.refusal(dst.Addr()); rule != "" {
		return &ForbiddenError{Rule: rule, Hint: hintNetworks, Addr: dst.Addr()}
	}
	if !p.PermitsPort(int(dst.Port())) {
		return &ForbiddenError{Rule: "the port belongs to another protocol", Hint: hintPorts}
	}
	return nil
}

// logRefusal logs for the operator that a request was refused.
func (p *Policy) logRefusal(host string, err *ForbiddenError) {
	p.log.warn(host, "hooks: a request was refused", "error", err.Error())
}

package hooks

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"code.dny.dev/ssrf"
)

// A guard is the egress policy: which hosts, ports and addresses hooks may reach.
// It refuses every special-purpose address of the IANA registries and, of IPv6,
// whatever lies outside 2000::/3, which is where the forms that embed an IPv4
// address are (IPv4-mapped and -compatible, SIIT, NAT64); 6to4 and Teredo are in
// the registry. It refuses the addresses of this machine as well, because packets
// to them pass no firewall. The networks that the application allows come first.
//
// Three checks apply the policy. parseURL and checkLiteral look at a URL when it
// is stored, to tell its author early. checkRequest looks at scheme, host name and
// port of each request, and control at each address that is dialled, whatever the
// name resolved to this time; these two are the ones that protect. A guard may be
// used concurrently.
type guard struct {
	allow     []netip.Prefix
	ports     []int
	hosts     hostList
	registry  *ssrf.Guardian
	own       *ownAddrs
	allowHTTP bool
	log       *hostLog
}

// azureWireServer is where Azure machines reach the platform's own services: a
// public address, in no registry, but link-local in effect.
// https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
var azureWireServer = netip.MustParsePrefix("168.63.129.16/32")

// newGuard makes the guard of a Manager. A bad AllowNetworks, AllowPorts or
// AllowHosts is an [InvalidError].
func newGuard(cfg Config) (*guard, error) {
	log := newHostLog(cfg.Logger)
	g := &guard{
		ports:     cfg.AllowPorts,
		registry:  ssrf.New(ssrf.WithDeniedV4Prefixes(azureWireServer)),
		own:       &ownAddrs{read: net.InterfaceAddrs, log: log.log},
		allowHTTP: cfg.AllowHTTP,
		log:       log,
	}
	for i, s := range cfg.AllowNetworks {
		p, err := parseNetwork(s)
		if err != nil {
			return nil, &InvalidError{Field: fmt.Sprintf("config.allowNetworks[%d]", i), Reason: err.Error()}
		}
		g.allow = append(g.allow, p)
	}
	for i, port := range g.ports {
		if port < 1 || port > 65535 {
			return nil, &InvalidError{Field: fmt.Sprintf("config.allowPorts[%d]", i), Reason: "must be 1 to 65535"}
		}
	}
	for i, s := range cfg.AllowHosts {
		if err := g.hosts.add(s); err != nil {
			return nil, &InvalidError{Field: fmt.Sprintf("config.allowHosts[%d]", i), Reason: err.Error()}
		}
	}
	return g, nil
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

// permits reports whether the policy lets connections to addr through.
func (g *guard) permits(addr netip.Addr) bool { return g.refusal(addr) == "" }

// refusal says why connections to addr are refused, as the end of a sentence that
// starts with the address. Empty: they are not.
//
// Dialling an IPv4-mapped address (::ffff:10.0.0.1) reaches the IPv4 address
// itself, so it is permitted if the application allows that one. Every other form
// that embeds an IPv4 address is judged as the IPv6 address that it is: who
// allows 10.0.0.0/8 has not allowed 64:ff9b::10.0.0.1.
func (g *guard) refusal(addr netip.Addr) string {
	target := addr.Unmap()
	switch {
	case slices.ContainsFunc(g.allow, func(p netip.Prefix) bool { return p.Contains(target) }):
		return ""
	case g.registry.SafeAddr(addr) != nil:
		return "is not a public address"
	case g.own.has(target):
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

// permitsPort reports whether the policy lets connections to the port through. Of
// those below 1024, all but 80 and 443 belong to other protocols.
func (g *guard) permitsPort(port int) bool {
	switch {
	case port == 80, port == 443, slices.Contains(g.ports, port):
		return true
	case slices.Contains(otherProtocols, port):
		return false
	}
	return port >= 1024 && port <= 65535
}

// checkRequest returns a *blockedError unless requests may go by the scheme of u to
// its host and port.
func (g *guard) checkRequest(u *url.URL) error {
	refuse := func(rule, hint string) error {
		err := &blockedError{rule: rule, hint: hint}
		g.tell(u.Hostname(), err)
		return err
	}
	if u.Scheme == "http" && !g.allowHTTP {
		return refuse("http has no TLS", hintHTTP)
	}
	if !g.hosts.has(u.Hostname()) {
		return refuse("the host is not one that it allows", hintHosts)
	}
	if u.Port() == "" {
		return nil
	}
	if port, err := strconv.Atoi(u.Port()); err != nil || !g.permitsPort(port) {
		return refuse("the port belongs to another protocol", hintPorts)
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

// A blockedError is a request that the egress policy refused.
type blockedError struct {
	// rule is fit for the hook's owner unless the refusal is about an address.
	rule, hint string
	// addr is what was refused, if that was an address.
	addr netip.Addr
	// ofName says that addr is one of a host name.
	ofName bool
}

func (e *blockedError) Error() string {
	text := "the egress policy forbids it: "
	if e.addr.IsValid() {
		text += e.addr.String() + " "
	}
	return text + e.rule + hintText(e.hint)
}

func hintText(hint string) string {
	if hint == "" {
		return ""
	}
	return " (" + hint + ")"
}

// tell tells the operator of a refusal.
func (g *guard) tell(host string, err *blockedError) {
	g.log.warn(host, "hooks: a request was refused", "error", err.Error())
}

// control checks the address that is about to be dialled. It is for
// [net.Dialer].ControlContext. What it refuses is a *blockedError.
func (g *guard) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return &blockedError{rule: fmt.Sprintf("the network is %q, only TCP is permitted", network)}
	}
	dst, err := netip.ParseAddrPort(address)
	if err != nil {
		return &blockedError{rule: fmt.Sprintf("%q is not an IP address with a port", address)}
	}
	if rule := g.refusal(dst.Addr()); rule != "" {
		return &blockedError{rule: rule, hint: hintNetworks, addr: dst.Addr()}
	}
	if !g.permitsPort(int(dst.Port())) {
		return &blockedError{rule: "the port belongs to another protocol", hint: hintPorts}
	}
	return nil
}

// A hostList is [Config].AllowHosts. Its zero value has every host.
type hostList struct {
	exact   map[string]bool
	domains []string // ".example.com" for "*.example.com"
}

// add adds an entry, or says what is wrong with it.
func (l *hostList) add(entry string) error {
	if l.exact == nil {
		l.exact = map[string]bool{}
	}
	name, isDomain := strings.CutPrefix(entry, "*.")
	addr, err := netip.ParseAddr(name)
	isAddr := err == nil && addr.Zone() == "" && !isDomain
	if !isAddr && (!validName(name) || endsInNumber(name)) {
		return fmt.Errorf(`must be a host name in ASCII, "*." and one, or an IP address without brackets, not %q`, entry)
	}
	if isDomain {
		l.domains = append(l.domains, "."+plainHost(name))
	} else {
		l.exact[plainHost(name)] = true
	}
	return nil
}

// has reports whether the host of a URL is in the list. A host that is neither a
// DNS name nor an address is in none but the empty list: what it is dialled as may
// differ from what it looks like.
func (l *hostList) has(host string) bool {
	if l.exact == nil {
		return true
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return l.exact[plainHost(host)]
	}
	if !validName(host) || endsInNumber(host) {
		return false
	}
	host = plainHost(host)
	return l.exact[host] ||
		slices.ContainsFunc(l.domains, func(d string) bool { return len(host) > len(d) && strings.HasSuffix(host, d) })
}

// plainHost is the one form of a host that may be written in several: a name in
// lower case without the dot of the root, and an address as [netip.Addr.String]
// writes it, without the prefix of an IPv4-mapped one.
func plainHost(host string) string {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().String()
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

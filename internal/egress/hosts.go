package egress

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// A hostList is [Config].AllowHosts. Its zero value contains every host.
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

// has reports whether the list contains the host of a URL. Only the empty list contains
// hosts that are neither DNS names nor addresses, because they may be dialled as something
// else than they look like.
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

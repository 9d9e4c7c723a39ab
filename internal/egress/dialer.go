package egress

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/seed-2c6e3a5a/hooks/internal/escape"
)

const (
	// maxDials is how many addresses of a name a connection tries.
	maxDials = 4
	// dialDelay is the head start of one address before the next, the
	// Connection Attempt Delay of RFC 8305, section 5.
	dialDelay = 250 * time.Millisecond
	// maxConnectTime bounds the time for a connection, with its TLS handshake. No hook
	// has a longer timeout.
	maxConnectTime = 30 * time.Second
)

// A dialer connects to endpoints under a policy. It may be used concurrently.
type dialer struct {
	policy *Policy
	// dial connects to one address.
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

func newDialer(p *Policy) *dialer {
	return &dialer{p, (&net.Dialer{ControlContext: p.Control}).DialContext}
}

// DialContext is for [net/http.Transport].DialContext. [net.Dialer] would try every address
// that a name has. What the policy refuses is logged for the operator, and so are failures
// of name servers.
func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, maxConnectTime) // net/http removes the request's deadline.
	defer cancel()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	conn, err := d.connect(ctx, network, host, port)
	var forbidden *ForbiddenError
	var dns *net.DNSError
	switch {
	case errors.As(err, &forbidden):
		_, notLiteral := netip.ParseAddr(host)
		forbidden.Resolved = notLiteral != nil
		d.policy.logRefusal(host, forbidden)
	case errors.As(err, &dns) && !dns.IsNotFound && ctx.Err() == nil:
		d.policy.log.warn(host, "hooks: a host name could not be looked up", "error", escape.Printable(dns.Error()))
	}
	return conn, err
}

// connect dials the addresses of the host that the policy permits.
func (d *dialer) connect(ctx context.Context, network, host, port string) (net.Conn, error) {
	addrs, err := d.policy.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var permitted []netip.Addr
	for _, addr := range addrs {
		addr = addr.Unmap() // The resolver writes IPv4 addresses as IPv4-mapped ones.
		if rule := d.policy.refusal(addr); rule != "" {
			err = &ForbiddenError{Rule: rule, Hint: hintNetworks, Addr: addr}
		} else {
			permitted = append(permitted, addr)
		}
	}
	if len(permitted) == 0 {
		return nil, cmp.Or[error](err, &net.DNSError{Err: "no address", Name: host, IsNotFound: true})
	}
	var targets []string
	for _, addr := range choose(permitted) {
		targets = append(targets, net.JoinHostPort(addr.String(), port))
	}
	if len(targets) == 1 {
		return d.dial(ctx, network, targets[0])
	}
	return d.race(ctx, network, targets)
}

// choose returns at most maxDials of the addresses of a name, none of which is IPv4-mapped.
// If there are addresses of both families, these take turns, beginning with the family of
// the first address (RFC 8305, section 4).
func choose(addrs []netip.Addr) []netip.Addr {
	var families [2][]netip.Addr
	for _, addr := range addrs {
		of := 0
		if addr.Is4() != addrs[0].Is4() {
			of = 1
		}
		families[of] = append(families[of], addr)
	}
	var chosen []netip.Addr
	for i := range maxDials {
		for _, family := range families {
			if i < len(family) && len(chosen) < maxDials {
				chosen = append(chosen, family[i])
			}
		}
	}
	return chosen
}

// race dials one target after another, each when the one before has failed or has had its
// head start. It returns the first connection, or the error of the first target if there is
// no connection.
func (d *dialer) race(ctx context.Context, network string, targets []string) (net.Conn, error) {
	type result struct {
		target int
		conn   net.Conn
		err    error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan result, len(targets))
	timer := time.NewTimer(dialDelay)
	defer timer.Stop()
	started := 0
	start := func() {
		if started == len(targets) {
			return
		}
		i := started
		started++
		timer.Reset(dialDelay)
		go func() {
			c, err := d.dial(ctx, network, targets[i])
			results <- result{i, c, err}
		}()
	}
	var firstErr error
	start()
	for ended := 0; ended < len(targets); {
		select {
		case <-timer.C:
			start()
		case r := <-results:
			ended++
			if r.err == nil {
				go func() { // those that connect at the same time
					for range started - ended {
						if late := <-results; late.err == nil {
							_ = late.conn.Close()
						}
					}
				}()
				return r.conn, nil
			}
			if r.target == 0 {
				firstErr = r.err
			}
			start()
		}
	}
	return nil, firstErr
}

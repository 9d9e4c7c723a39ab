package hooks

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"time"
)

const (
	// maxDials is how many addresses of a name a connection tries.
	maxDials = 4
	// dialDelay is the head start of one address before the next, the
	// Connection Attempt Delay of RFC 8305, section 5.
	dialDelay = 250 * time.Millisecond
)

// A dialer connects to endpoints under the egress policy. It may be used
// concurrently.
type dialer struct {
	guard    *guard
	resolver *net.Resolver
	// dial connects to one address.
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

func newDialer(r *net.Resolver, g *guard) *dialer {
	return &dialer{g, cmp.Or(r, net.DefaultResolver), (&net.Dialer{ControlContext: g.control}).DialContext}
}

// DialContext is for [net/http.Transport].DialContext. [net.Dialer] would try
// every address that a name has. The operator is told of what the policy refuses,
// and of name servers that fail.
func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, maxTimeout) // net/http takes the request's away.
	defer cancel()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	conn, err := d.connect(ctx, network, host, port)
	blocked, isBlocked := errAs[*blockedError](err)
	dns, isDNS := errAs[*net.DNSError](err)
	switch {
	case isBlocked:
		_, notLiteral := netip.ParseAddr(host)
		blocked.ofName = notLiteral != nil
		d.guard.tell(host, blocked)
	case isDNS && !dns.IsNotFound && ctx.Err() == nil:
		d.guard.log.warn(host, "hooks: a host name could not be looked up", "error", errorText(dns))
	}
	return conn, err
}

// connect dials the addresses of the host that the policy permits.
func (d *dialer) connect(ctx context.Context, network, host, port string) (net.Conn, error) {
	addrs, err := d.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var permitted []netip.Addr
	for _, addr := range addrs {
		addr = addr.Unmap() // The resolver writes IPv4 addresses as IPv4-mapped ones.
		if rule := d.guard.refusal(addr); rule != "" {
			err = &blockedError{rule: rule, hint: hintNetworks, addr: addr}
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

// choose returns at most maxDials of the addresses of a name, none of which is
// IPv4-mapped. If there are some
// of both families they take turns, and that of the first begins (RFC 8305,
// section 4).
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

// race dials one target after another, each when the one before has failed or has
// had its head start, and returns the first connection, or the error of the first
// target if there is none.
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

package egress_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks/internal/egress"
)

// resolving returns a policy that knows the names of dns only.
func resolving(t testing.TB, dns *dnsServer, allow ...string) *egress.Policy {
	t.Helper()
	return configured(t, egress.Config{AllowNetworks: allow, AllowHTTP: true, Resolver: dns.resolver()})
}

func dial(p *egress.Policy) egress.DialFunc { return egress.NewDialer(p, nil) }

// listenTCP listens on the loopback and returns the port.
func listenTCP(t *testing.T) (net.Listener, string) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return l, port
}

// assertUntouched checks that nobody has connected to l: the first connection
// that it accepts is one made now.
func assertUntouched(t *testing.T, l net.Listener) {
	t.Helper()
	probe, err := net.Dial("tcp4", l.Addr().String())
	require.NoError(t, err)
	defer func() { _ = probe.Close() }()
	first, err := l.Accept()
	require.NoError(t, err)
	defer func() { _ = first.Close() }()
	assert.Equal(t, probe.LocalAddr().String(), first.RemoteAddr().String())
}

func TestDialLoopback(t *testing.T) {
	dns := newDNSServer(t, nil)
	t.Run("refused", func(t *testing.T) {
		l, port := listenTCP(t)
		for _, host := range []string{"127.0.0.1", "0.0.0.0", "::ffff:127.0.0.1"} {
			_, err := dial(resolving(t, dns))(t.Context(), "tcp", net.JoinHostPort(host, port))
			assertForbidden(t, err)
		}
		assertUntouched(t, l)
	})
	t.Run("allowed", func(t *testing.T) {
		_, port := listenTCP(t)
		for _, host := range []string{"127.0.0.1", "::ffff:127.0.0.1"} {
			conn, err := dial(resolving(t, dns, "127.0.0.0/8"))(t.Context(), "tcp", net.JoinHostPort(host, port))
			if assert.NoError(t, err, host) {
				assert.NoError(t, conn.Close())
			}
		}
	})
	t.Run("UDP", func(t *testing.T) {
		_, err := dial(resolving(t, dns, "127.0.0.0/8"))(t.Context(), "udp", "127.0.0.1:9")
		assertForbidden(t, err)
	})
}

func TestDialNamesOfForbiddenAddresses(t *testing.T) {
	zone := map[string][]string{}
	for i, addr := range []string{
		"127.0.0.1", "0.0.0.0", "10.0.0.1", "169.254.169.254", "168.63.129.16", "100.100.100.200", "255.255.255.255", "224.0.0.1",
		"::ffff:127.0.0.1", "::1", "::", "fe80::1", "fd00:ec2::254", "64:ff9b::7f00:1", "::127.0.0.1", "2002:7f00:1::", "ff02::1",
	} {
		zone["n"+strconv.Itoa(i)+".test."] = []string{addr}
	}
	dns := newDNSServer(t, zone)
	l, port := listenTCP(t)
	for name, answer := range zone {
		t.Run(answer[0], func(t *testing.T) {
			if addr := netip.MustParseAddr(answer[0]); addr.Is6() && !addr.Is4In6() {
				requireIPv6(t)
			}
			_, err := dial(resolving(t, dns))(t.Context(), "tcp", name+":"+port)
			assertForbidden(t, err)
		})
	}
	assertUntouched(t, l)
}

// requireIPv6 skips the test where the system cannot make an IPv6 socket: a
// dial fails there before there is anything to check.
func requireIPv6(t *testing.T) {
	t.Helper()
	c, err := net.ListenPacket("udp6", "[::]:0")
	if err != nil {
		t.Skip("no IPv6: ", err)
	}
	require.NoError(t, c.Close())
}

// The host's name is public when it is looked up first, and private when it is
// dialled (DNS rebinding).
func TestDialChecksTheAddressOfThisLookUp(t *testing.T) {
	dns := newDNSServer(t, map[string][]string{"rebind.test.": {"8.8.8.8", "127.0.0.1"}})
	l, port := listenTCP(t)
	p := resolving(t, dns)

	first, err := dns.resolver().LookupNetIP(t.Context(), "ip4", "rebind.test.")
	require.NoError(t, err)
	require.Len(t, first, 1)
	assert.True(t, dials(t, p, first[0].Unmap()), "the first answer is public")

	_, err = dial(p)(t.Context(), "tcp4", "rebind.test.:"+port)
	assertForbidden(t, err)
	assertUntouched(t, l)
}

func TestHTTPClientReportsTheRefusal(t *testing.T) {
	dns := newDNSServer(t, map[string][]string{"inside.test.": {"127.0.0.1"}})
	l, port := listenTCP(t)
	transport := &http.Transport{DialContext: dial(resolving(t, dns))}
	t.Cleanup(transport.CloseIdleConnections)

	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://inside.test.:"+port+"/", http.NoBody)
	require.NoError(t, err)
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	var wrapped *url.Error
	require.ErrorAs(t, err, &wrapped)
	assertForbidden(t, err)
	assert.Contains(t, err.Error(), "127.0.0.1", "the error names the address that the name stands for")
	assertUntouched(t, l)
}

// Of the addresses of a name, those that the policy permits are dialled. The name
// of others looks like one that does not exist, which is logged for the operator.
func TestNamesOfWhichThePolicyPermitsSomeAddresses(t *testing.T) {
	dns := newDNSServer(t, map[string][]string{
		"public.test.": {"8.8.8.8"},
		"mixed.test.":  {"10.0.0.1 8.8.8.8 10.0.0.2 8.8.4.4"},
		"inside.test.": {"10.0.0.1 10.0.0.2"},
		"empty.test.":  {""},
	})
	for name, want := range map[string][]string{
		"public.test.": {"8.8.8.8:443"}, "mixed.test.": {"8.8.4.4:443", "8.8.8.8:443"}, "inside.test.": nil, "empty.test.": nil, "nowhere.test.": nil,
		"8.8.8.8": {"8.8.8.8:443"}, "::ffff:8.8.8.8": {"8.8.8.8:443"}, "10.0.0.1": nil,
	} {
		var text bytes.Buffer
		p := configured(t, egress.Config{Resolver: dns.resolver(), Logger: slog.New(slog.NewTextHandler(&text, nil))})
		var mu sync.Mutex
		var dialled []string
		unreachable := errors.New("unreachable")
		dial := egress.NewDialer(p, func(egress.DialFunc) egress.DialFunc {
			return func(_ context.Context, _, address string) (net.Conn, error) {
				mu.Lock()
				defer mu.Unlock()
				dialled = append(dialled, address)
				return nil, unreachable
			}
		})
		for range 3 {
			dialled = nil
			_, err := dial(t.Context(), "tcp", net.JoinHostPort(name, "443"))
			require.Error(t, err, name)
			assert.ElementsMatch(t, want, dialled, name)
			var forbidden *egress.ForbiddenError
			var dns *net.DNSError
			switch {
			case len(want) > 0:
				assert.ErrorIs(t, err, unreachable, name)
			case errors.As(err, &forbidden):
				assert.Equal(t, name != "10.0.0.1", forbidden.Resolved, name)
			default:
				assert.ErrorAs(t, err, &dns, name)
				assert.NotContains(t, name, "inside")
			}
		}
		told := strings.Count(text.String(), "\n")
		if strings.HasPrefix(name, "inside") || name == "10.0.0.1" {
			assert.Equal(t, 1, told, "once a minute: %s", &text)
			assert.Contains(t, text.String(), "Config.AllowNetworks can allow it")
			assert.Contains(t, text.String(), "10.0.0.")
		} else {
			assert.Zero(t, told, "%s: %s", name, &text)
		}
	}
}

// numberedAddrs returns so many addresses of the network that format is for.
func numberedAddrs(format string, n int) (addrs []string) {
	for i := range n {
		addrs = append(addrs, fmt.Sprintf(format, i+1))
	}
	return addrs
}

func TestChosenAddresses(t *testing.T) {
	v4, v6 := numberedAddrs("192.0.2.%d", 60), numberedAddrs("2001:db8::%x", 60)
	for name, tt := range map[string]struct{ addrs, want []string }{
		"one":                       {v4[:1], v4[:1]},
		"two":                       {v4[:2], v4[:2]},
		"sixty":                     {v4, v4[:4]},
		"both families":             {append(v6[:60:60], v4...), []string{v6[0], v4[0], v6[1], v4[1]}},
		"both families, IPv4 first": {append(v4[:60:60], v6...), []string{v4[0], v6[0], v4[1], v6[1]}},
		"one of the other family":   {append(v6[:60:60], v4[0]), []string{v6[0], v4[0], v6[1], v6[2]}},
		"one of the first family":   {append(v6[:1:1], v4...), []string{v6[0], v4[0], v4[1], v4[2]}},
	} {
		t.Run(name, func(t *testing.T) {
			var addrs []netip.Addr
			for _, addr := range tt.addrs {
				addrs = append(addrs, netip.MustParseAddr(addr))
			}
			var got []string
			for _, addr := range egress.Choose(addrs) {
				got = append(got, addr.String())
			}
			assert.Equal(t, tt.want, got)
		})
	}
}

// A fakeConn is a connection that only closes.
type fakeConn struct {
	net.Conn
	address string
	closed  func(address string)
}

func (c fakeConn) Close() error {
	c.closed(c.address)
	return nil
}

// dialling tells which targets were dialled, when, and which connections were
// closed.
type dialling struct {
	mu      sync.Mutex
	began   time.Time
	dialled []string
	closed  []string
}

const hangs = time.Duration(-1)

// dial returns a function that connects to targets which take their time, whatever
// becomes of the context, or fail if they are named in failing.
func (d *dialling) dial(takes map[string]time.Duration, failing string) egress.DialFunc {
	d.began = time.Now()
	return func(ctx context.Context, _, address string) (net.Conn, error) {
		d.mu.Lock()
		d.dialled = append(d.dialled, fmt.Sprint(address, " after ", time.Since(d.began)))
		d.mu.Unlock()
		if takes[address] == hangs {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		time.Sleep(takes[address])
		if strings.Contains(failing, address) {
			return nil, errors.New(address)
		}
		return fakeConn{address: address, closed: func(address string) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.closed = append(d.closed, address)
		}}, nil
	}
}

func TestDialsOfANameTakeTurns(t *testing.T) {
	for name, tt := range map[string]struct {
		takes         map[string]time.Duration
		failing       string
		dialled       []string
		conn, failure string
		took          time.Duration
		closed        []string
	}{
		"the first connects": {dialled: []string{"a after 0s"}, conn: "a"},
		"the first connects late": {
			takes:   map[string]time.Duration{"a": 600 * time.Millisecond, "b": hangs, "c": hangs},
			dialled: []string{"a after 0s", "b after 250ms", "c after 500ms"}, conn: "a", took: 600 * time.Millisecond,
		},
		"the first hangs": {
			takes:   map[string]time.Duration{"a": hangs, "b": 10 * time.Millisecond},
			dialled: []string{"a after 0s", "b after 250ms"}, conn: "b", took: 260 * time.Millisecond,
		},
		"the first fails": {
			takes: map[string]time.Duration{"a": time.Millisecond}, failing: "a",
			dialled: []string{"a after 0s", "b after 1ms"}, conn: "b", took: time.Millisecond,
		},
		"two connect at once": {
			takes:   map[string]time.Duration{"a": 300 * time.Millisecond, "b": 50 * time.Millisecond, "c": hangs},
			dialled: []string{"a after 0s", "b after 250ms"}, conn: "either", took: 300 * time.Millisecond, closed: []string{"the other"},
		},
		"all fail": {
			takes: map[string]time.Duration{"a": 10 * time.Millisecond}, failing: "a b c",
			dialled: []string{"a after 0s", "b after 10ms", "c after 10ms"}, failure: "a", took: 10 * time.Millisecond,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var d dialling
				c, err := egress.Race(t.Context(), d.dial(tt.takes, tt.failing), "a", "b", "c")
				assert.Equal(t, tt.took, time.Since(d.began))
				synctest.Wait()
				assert.Equal(t, tt.dialled, d.dialled)
				if tt.failure != "" {
					assert.EqualError(t, err, tt.failure)
					return
				}
				require.NoError(t, err)
				if tt.conn != "either" {
					assert.Equal(t, tt.conn, c.(fakeConn).address)
				}
				assert.Len(t, d.closed, len(tt.closed))
				assert.NotContains(t, d.closed, c.(fakeConn).address)
			})
		})
	}
}

func TestDialsOfANameEndWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d dialling
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err := egress.Race(ctx, d.dial(map[string]time.Duration{"a": hangs, "b": hangs, "c": hangs}, ""), "a", "b", "c")
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 300*time.Millisecond, time.Since(d.began))
	})
}

// A name of sixty addresses costs four connections, whatever becomes of them, and
// each is checked.
func TestANameWithManyAddresses(t *testing.T) {
	loopback := numberedAddrs("127.0.0.%d", 60)
	dns := newDNSServer(t, map[string][]string{
		"many.test.":    {strings.Join(loopback, " ")},
		"mixed.test.":   {"10.0.0.1 " + strings.Join(loopback, " ")},
		"private.test.": {strings.Join(numberedAddrs("10.0.0.%d", 60), " ")},
	})
	l, port := listenTCP(t)
	require.NoError(t, l.Close()) // Nobody listens there now.
	for name, check := range map[string]func(error){
		"many.test.":    func(err error) { assert.ErrorIs(t, err, syscall.ECONNREFUSED) },
		"private.test.": func(err error) { assertForbidden(t, err) },
		"mixed.test.":   func(err error) { assert.Error(t, err) },
	} {
		var mu sync.Mutex
		dials := 0
		dial := egress.NewDialer(resolving(t, dns, "127.0.0.0/8"), func(dial egress.DialFunc) egress.DialFunc {
			return func(ctx context.Context, network, address string) (net.Conn, error) {
				mu.Lock()
				dials++
				mu.Unlock()
				return dial(ctx, network, address)
			}
		})
		_, err := dial(t.Context(), "tcp", net.JoinHostPort(name, port))
		check(err)
		want := 4
		if name == "private.test." {
			want = 0 // There is no address to dial.
		}
		assert.Equal(t, want, dials, name)
	}
}

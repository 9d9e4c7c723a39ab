package hooks

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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
			for _, addr := range choose(addrs) {
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

// dialer returns a dialer whose targets take their time and then connect, whatever
// becomes of the context, or fail if they are named in failing.
func (d *dialling) dialer(takes map[string]time.Duration, failing string) *dialer {
	d.began = time.Now()
	return &dialer{dial: func(ctx context.Context, _, address string) (net.Conn, error) {
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
	}}
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
				c, err := d.dialer(tt.takes, tt.failing).race(t.Context(), "tcp", []string{"a", "b", "c"})
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
		_, err := d.dialer(map[string]time.Duration{"a": hangs, "b": hangs, "c": hangs}, "").race(ctx, "tcp", []string{"a", "b", "c"})
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
		"private.test.": func(err error) { assertBlocked(t, err) },
		"mixed.test.":   func(err error) { assert.Error(t, err) },
	} {
		d := guardedDialer(testGuard(t, "127.0.0.0/8"), dns)
		var mu sync.Mutex
		dials, dial := 0, d.dial
		d.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			mu.Lock()
			dials++
			mu.Unlock()
			return dial(ctx, network, address)
		}
		_, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort(name, port))
		check(err)
		want := 4
		if name == "private.test." {
			want = 0 // There is no address to dial.
		}
		assert.Equal(t, want, dials, name)
	}
}

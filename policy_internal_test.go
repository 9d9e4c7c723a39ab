package hooks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// badPorts is the list of the fetch standard.
// https://fetch.spec.whatwg.org/#port-blocking
var badPorts = []int{
	0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110, 111,
	113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554,
	556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666,
	6667, 6668, 6669, 6679, 6697, 10080,
}

func TestPorts(t *testing.T) {
	plain := testGuard(t)
	allowing := configuredGuard(t, Config{AllowPorts: []int{25, 6667, 65535}, AllowHTTP: true})
	refused := append([]int{2, 79, 81, 442, 444, 445, 1023}, badPorts...)
	for _, port := range refused {
		assert.False(t, plain.permitsPort(port), port)
		if port > 0 {
			assertInvalid(t, plain.checkLiteral(fmt.Sprintf("http://example.com:%d/", port)), "url")
		}
		assertBlocked(t, plain.control(t.Context(), "tcp4", fmt.Sprintf("8.8.8.8:%d", port), nil))
		assertBlocked(t, plain.checkRequest(&url.URL{Scheme: "https", Host: fmt.Sprintf("example.com:%d", port)}))
		_, err := plain.parseURL(fmt.Sprintf("https://example.com:%d/", port))
		assertInvalid(t, err, "url")
		assert.Equal(t, port == 25 || port == 6667, allowing.permitsPort(port), port)
	}
	for _, port := range []int{80, 443, 1024, 1718, 1721, 3000, 5432, 6664, 6670, 8080, 8443, 10079, 10081, 49152, 65535} {
		assert.True(t, plain.permitsPort(port), port)
		_, err := plain.parseURL(fmt.Sprintf("https://[2001:4860::1]:%d/", port))
		assert.NoError(t, err)
		assert.NoError(t, plain.control(t.Context(), "tcp6", fmt.Sprintf("[2001:4860::1]:%d", port), nil))
		assert.NoError(t, plain.checkRequest(&url.URL{Scheme: "https", Host: fmt.Sprintf("example.com:%d", port)}))
	}
	for _, port := range []string{"65536", "99999999999999999999"} {
		assertBlocked(t, plain.checkRequest(&url.URL{Scheme: "https", Host: "example.com:" + port}))
	}
	assertBlocked(t, testGuard(t, "127.0.0.0/8").control(t.Context(), "tcp4", "127.0.0.1:22", nil))
}

func TestHosts(t *testing.T) {
	g := configuredGuard(t, Config{AllowHTTP: true, AllowHosts: []string{"Example.com", "*.shop.example.", "8.8.8.8", "2001:4860:0::1", "10.0.0.1", "xn--bcher-kva.example", "intranet"}})
	for _, host := range []string{
		"example.com", "EXAMPLE.COM", "example.com.", "example.com:8443", "a.shop.example", "A.b.C.shop.example.", "8.8.8.8", "8.8.8.8:8080",
		"[2001:4860::1]", "[2001:4860:0:0:0:0:0:1]:8443", "xn--bcher-kva.example", "intranet", "_a.shop.example",
	} {
		_, err := g.parseURL("https://" + host + "/")
		assert.NoError(t, err, host)
		assert.NoError(t, g.checkLiteral("https://"+host+"/"), host)
		assert.NoError(t, g.checkRequest(&url.URL{Host: host}), host)
	}
	for _, host := range []string{
		"shop.example", ".shop.example", "shop.example.", "ashop.example", "a.shop.example.org", "www.example.com", "example.com.evil.test", "example.comevil.test",
		"evil.test", "8.8.4.4", "[2001:4860::2]", "8.8.8.8.", "a..shop.example", "com", "localhost", "ｅxample.com", "evil.test／.shop.example", "bücher.example", "",
		"example.com..", "*.shop.example", "\u212amart.shop.example", "evil.test%2f.shop.example", "127.1", "evil.test\x00.shop.example", "[fe80::1%.shop.example]", "[2001:4860::1%eth0]", "[::ffff:8.8.4.4]",
	} {
		assert.Error(t, g.checkRequest(&url.URL{Host: host}), host)
		_, err := g.parseURL("https://" + host + "/")
		assertInvalid(t, err, "url")
	}
	t.Run("an allow-list alone opens no address", func(t *testing.T) {
		_, err := g.parseURL("https://10.0.0.1/")
		assertInvalid(t, err, "url")
		assertBlocked(t, g.control(t.Context(), "tcp4", "10.0.0.1:443", nil))
		both := configuredGuard(t, Config{AllowHosts: []string{"10.0.0.1"}, AllowNetworks: []string{"10.0.0.0/8"}})
		_, err = both.parseURL("https://10.0.0.1/")
		assert.NoError(t, err)
		_, err = both.parseURL("https://10.0.0.2/")
		assertInvalid(t, err, "url")
	})
	t.Run("none is any", func(t *testing.T) {
		assert.NoError(t, testGuard(t).checkRequest(&url.URL{Host: "anything.example"}))
	})
}

func TestBadHostsAndPorts(t *testing.T) {
	for _, s := range []string{
		"", "*", "*.", "*.*", "*.*.example.com", "a.*.example.com", "*example.com", "https://example.com", "example.com:443", "example.com/x", "bücher.example",
		"127.1", "0x7f.1", "*.1", "*.8.8.8.8", "[2001:4860::1]", "fe80::1%eth0", "*.2001:4860::1", "..", ".example.com", "exa mple.com", "10.0.0.0/8",
	} {
		_, err := newGuard(Config{AllowHosts: []string{"example.com", s}, Logger: slog.New(slog.DiscardHandler)})
		assertInvalid(t, err, "config.allowHosts[1]")
	}
	for _, port := range []int{0, -1, 65536} {
		_, err := newGuard(Config{AllowPorts: []int{25, port}, Logger: slog.New(slog.DiscardHandler)})
		assertInvalid(t, err, "config.allowPorts[1]")
	}
}

// interfaces is what [net.InterfaceAddrs] returns.
func interfaces(addrs ...string) (list []net.Addr) {
	for _, a := range addrs {
		ip, ipNet, _ := net.ParseCIDR(a)
		list = append(list, &net.IPNet{IP: ip, Mask: ipNet.Mask})
	}
	return list
}

func TestTheAddressesOfThisMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		var readErr error
		now, reads := interfaces("127.0.0.1/8", "93.184.215.14/24", "2606:2800:21f::1/64"), 0
		logger := slog.New(slog.NewTextHandler(&text, nil))
		machine := func(allow ...string) *guard {
			g := testGuard(t, allow...)
			g.own = &ownAddrs{log: logger, read: func() ([]net.Addr, error) { reads++; return now, readErr }}
			return g
		}
		g := machine()
		check := func(want bool, addrs ...string) {
			t.Helper()
			for _, a := range addrs {
				assert.Equal(t, want, dials(t, g, netip.MustParseAddr(a)), a)
				_, err := g.parseURL("https://" + strings.Trim(netip.AddrPortFrom(netip.MustParseAddr(a), 443).String(), " ") + "/")
				assert.Equal(t, want, err == nil, a)
			}
		}
		check(false, "93.184.215.14", "2606:2800:21f::1", "127.0.0.1")
		check(true, "93.184.215.13", "2606:2800:21f::2")
		assert.False(t, g.permits(netip.MustParseAddr("::ffff:93.184.215.14")))
		assert.Equal(t, 1, reads)

		now = interfaces("93.184.215.15/24")
		check(false, "93.184.215.14")
		time.Sleep(time.Minute)
		check(true, "93.184.215.14")
		check(false, "93.184.215.15")
		assert.Equal(t, 2, reads)

		// What was known last stays refused when the system does not tell.
		readErr = errors.New("no netlink")
		time.Sleep(time.Minute)
		for range 10 {
			check(false, "93.184.215.15")
		}
		assert.Equal(t, 1, strings.Count(text.String(), "no netlink"))
		time.Sleep(time.Minute)
		check(false, "93.184.215.15")
		assert.Equal(t, 2, strings.Count(text.String(), "no netlink"))

		readErr, now = nil, interfaces("93.184.215.14/24")
		g = machine("93.184.215.0/24")
		check(true, "93.184.215.14")
	})
}

// The addresses of this machine are found, and looking at them costs little.
func TestInterfaceAddrs(t *testing.T) {
	own := testGuard(t).own
	assert.True(t, own.has(netip.MustParseAddr("127.0.0.1")))
	assert.Zero(t, testing.AllocsPerRun(100, func() { own.has(netip.MustParseAddr("127.0.0.1")) }))
}

// Of the addresses of a name, those that the policy permits are dialled. The name
// of others looks like one that does not exist, and the operator is told.
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
		g := configuredGuard(t, Config{})
		g.log = newHostLog(slog.New(slog.NewTextHandler(&text, nil)))
		d := guardedDialer(g, dns)
		var mu sync.Mutex
		var dialled []string
		d.dial = func(_ context.Context, _, address string) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			dialled = append(dialled, address)
			return nil, &net.OpError{Op: "dial", Err: errors.New("unreachable")}
		}
		for range 3 {
			dialled = nil
			_, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort(name, "443"))
			require.Error(t, err, name)
			assert.ElementsMatch(t, want, dialled, name)
			class := classify(t.Context(), err, ClassHTTP)
			switch {
			case len(want) > 0:
				assert.Equal(t, ClassConnect, class, name)
			case name == "10.0.0.1":
				assert.Equal(t, ClassForbidden, class)
			default:
				assert.Equal(t, ClassDNS, class, name)
				assert.Equal(t, errNoAddress, plain(err), name)
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

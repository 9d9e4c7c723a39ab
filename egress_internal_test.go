package hooks

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The guard's parts are tested here and not through a Manager, because a test
// may only dial the loopback, and most of what the guard decides on is
// elsewhere.

// specialRanges are the special-purpose networks: the IANA registries of IPv4
// and IPv6 (RFC 6890), row by row, and what else is not public.
var specialRanges = []struct{ prefix, source string }{
	{"0.0.0.0/8", "RFC 791, this network"},
	{"0.0.0.0/32", "RFC 1122, this host"},
	{"10.0.0.0/8", "RFC 1918, private"},
	{"100.64.0.0/10", "RFC 6598, shared (CGNAT)"},
	{"127.0.0.0/8", "RFC 1122, loopback"},
	{"169.254.0.0/16", "RFC 3927, link-local"},
	{"172.16.0.0/12", "RFC 1918, private"},
	{"192.0.0.0/24", "RFC 6890, IETF protocol assignments"},
	{"192.0.0.0/29", "RFC 7335, IPv4 service continuity"},
	{"192.0.0.8/32", "RFC 7600, dummy address"},
	{"192.0.0.9/32", "RFC 7723, PCP anycast"},
	{"192.0.0.10/32", "RFC 8155, TURN anycast"},
	{"192.0.0.170/31", "RFC 7050 and 8880, NAT64 and DNS64 discovery"},
	{"192.0.2.0/24", "RFC 5737, documentation"},
	{"192.31.196.0/24", "RFC 7535, AS112"},
	{"192.52.193.0/24", "RFC 7450, AMT"},
	{"192.88.99.0/24", "RFC 7526, 6to4 relay anycast"},
	{"192.168.0.0/16", "RFC 1918, private"},
	{"192.175.48.0/24", "RFC 7534, AS112"},
	{"198.18.0.0/15", "RFC 2544, benchmarking"},
	{"198.51.100.0/24", "RFC 5737, documentation"},
	{"203.0.113.0/24", "RFC 5737, documentation"},
	{"224.0.0.0/4", "RFC 5771, multicast"},
	{"240.0.0.0/4", "RFC 1112, reserved (class E)"},
	{"255.255.255.255/32", "RFC 919, limited broadcast"},

	{"::/128", "RFC 4291, unspecified"},
	{"::1/128", "RFC 4291, loopback"},
	{"::/96", "RFC 4291, IPv4-compatible"},
	{"::ffff:0:0/96", "RFC 4291, IPv4-mapped"},
	{"::ffff:0:0:0/96", "RFC 2765, SIIT"},
	{"64:ff9b::/96", "RFC 6052, NAT64"},
	{"64:ff9b:1::/48", "RFC 8215, local NAT64"},
	{"100::/64", "RFC 6666, discard only"},
	{"100:0:0:1::/64", "RFC 9780, dummy prefix"},
	{"2001::/23", "RFC 2928, IETF protocol assignments"},
	{"2001::/32", "RFC 4380, Teredo"},
	{"2001:1::1/128", "RFC 7723, PCP anycast"},
	{"2001:1::2/128", "RFC 8155, TURN anycast"},
	{"2001:1::3/128", "RFC 9665, SRP anycast"},
	{"2001:2::/48", "RFC 5180, benchmarking"},
	{"2001:3::/32", "RFC 7450, AMT"},
	{"2001:4:112::/48", "RFC 7535, AS112"},
	{"2001:10::/28", "RFC 4843, ORCHID"},
	{"2001:20::/28", "RFC 7343, ORCHIDv2"},
	{"2001:30::/28", "RFC 9374, DRIP"},
	{"2001:db8::/32", "RFC 3849, documentation"},
	{"2002::/16", "RFC 3056, 6to4"},
	{"2620:4f:8000::/48", "RFC 7534, AS112"},
	{"3fff::/20", "RFC 9637, documentation"},
	{"5f00::/16", "RFC 9602, SRv6 SIDs"},
	{"fc00::/7", "RFC 4193, unique local"},
	{"fe80::/10", "RFC 4291, link-local"},
	{"fec0::/10", "RFC 3879, site-local"},
	{"ff00::/8", "RFC 4291, multicast"},
	// 2000::/3 is all that is assigned as global unicast (RFC 3587).
	{"::/3", "RFC 4291, not global unicast"},
	{"4000::/2", "RFC 4291, not global unicast"},
	{"8000::/1", "RFC 4291, not global unicast"},

	{"168.63.129.16/32", "Azure, wire server"},
}

func special(addr netip.Addr) bool {
	for _, r := range specialRanges {
		if netip.MustParsePrefix(r.prefix).Contains(addr) {
			return true
		}
	}
	return false
}

// span returns the first, the middle and the last address of a network.
func span(p netip.Prefix) (first, middle, last netip.Addr) {
	mid, end := p.Addr().AsSlice(), p.Addr().AsSlice()
	for i := p.Bits(); i < p.Addr().BitLen(); i++ {
		bit := byte(0x80) >> (i % 8)
		end[i/8] |= bit
		if i == p.Bits() {
			mid[i/8] |= bit
		}
	}
	middle, _ = netip.AddrFromSlice(mid)
	last, _ = netip.AddrFromSlice(end)
	return p.Addr(), middle, last
}

func testGuard(t testing.TB, allow ...string) *guard {
	t.Helper()
	return configuredGuard(t, Config{AllowNetworks: allow, AllowHTTP: true})
}

func configuredGuard(t testing.TB, cfg Config) *guard {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	g, err := newGuard(cfg)
	require.NoError(t, err)
	return g
}

// dials reports whether g lets a dial of addr through, and fails the test if
// it refuses it in another way than it should.
func dials(t *testing.T, g *guard, addr netip.Addr) bool {
	t.Helper()
	network := "tcp4"
	if addr.Is6() {
		network = "tcp6"
	}
	err := g.control(t.Context(), network, netip.AddrPortFrom(addr, 443).String(), nil)
	if err == nil {
		return true
	}
	assertBlocked(t, err)
	assert.Contains(t, err.Error(), addr.String(), "the error names the address")
	return false
}

func assertBlocked(t *testing.T, err error) {
	t.Helper()
	var blocked *blockedError
	assert.ErrorAs(t, err, &blocked)
}

func assertInvalid(t *testing.T, err error, field string) {
	t.Helper()
	var invalid *InvalidError
	if assert.ErrorAs(t, err, &invalid) {
		assert.Equal(t, field, invalid.Field)
		assert.NotEmpty(t, invalid.Reason)
	}
}

func TestGuardRefusesSpecialRanges(t *testing.T) {
	g := testGuard(t)
	for _, r := range specialRanges {
		t.Run(r.prefix, func(t *testing.T) {
			p := netip.MustParsePrefix(r.prefix)
			require.Equal(t, p.Masked(), p)
			first, middle, last := span(p)
			for _, addr := range []netip.Addr{first, middle, last} {
				assert.False(t, dials(t, g, addr), "%s is in %s (%s)", addr, p, r.source)
			}
			for _, addr := range []netip.Addr{first.Prev(), last.Next()} {
				if addr.IsValid() && !special(addr) {
					assert.True(t, dials(t, g, addr), "%s is public, beside %s", addr, p)
				}
			}
		})
	}
}

func TestGuardPermitsPublicAddresses(t *testing.T) {
	g := testGuard(t)
	for _, s := range []string{
		"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
		"126.255.255.255", "128.0.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0",
		"168.63.129.15", "168.63.129.17", "198.17.255.255", "198.20.0.0", "223.255.255.255",
		"2000::", "2001:200::1", "2001:4860:4860::8888", "2001:db7:ffff::", "2001:db9::", "2003::",
		"2606:4700:4700::1111", "3ffe:ffff::", "3fff:1000::",
	} {
		assert.True(t, dials(t, g, netip.MustParseAddr(s)), s)
	}
}

func TestGuardRefusesMetadataServices(t *testing.T) {
	g := testGuard(t)
	for _, s := range []string{
		"169.254.169.254",    // most clouds
		"169.254.170.2",      // Amazon ECS
		"169.254.0.23",       // Tencent
		"fd00:ec2::254",      // Amazon EC2
		"fd20:ce::254",       // Google
		"fd00:c1::a9fe:a9fe", // Oracle
		"fe80::a9fe:a9fe",    // OpenStack
		"100.100.100.200",    // Alibaba
		"168.63.129.16",      // Azure
		"192.0.0.192",        // Oracle, classic
	} {
		assert.False(t, dials(t, g, netip.MustParseAddr(s)), s)
	}
}

// embeddings are the ways to write an IPv4 address into an IPv6 address.
var embeddings = []struct {
	name   string
	prefix string
	embed  func(v4 [4]byte) netip.Addr
}{
	{"mapped", "::ffff:0:0/96", inLastBytes("::ffff:0:0")},
	{"compatible", "::/96", inLastBytes("::")},
	{"SIIT", "::ffff:0:0:0/96", inLastBytes("::ffff:0:0:0")},
	{"NAT64", "64:ff9b::/96", inLastBytes("64:ff9b::")},
	{"local NAT64, 96 bits", "64:ff9b:1::/48", inLastBytes("64:ff9b:1::")},
	{"local NAT64, 48 bits", "64:ff9b:1::/48", func(v4 [4]byte) netip.Addr {
		a := netip.MustParseAddr("64:ff9b:1::").As16() // RFC 6052, section 2.2
		a[6], a[7], a[9], a[10] = v4[0], v4[1], v4[2], v4[3]
		return netip.AddrFrom16(a)
	}},
	{"6to4", "2002::/16", func(v4 [4]byte) netip.Addr {
		a := netip.MustParseAddr("2002::1").As16()
		copy(a[2:], v4[:])
		return netip.AddrFrom16(a)
	}},
	{"Teredo server", "2001::/32", func(v4 [4]byte) netip.Addr {
		a := netip.MustParseAddr("2001::1").As16()
		copy(a[4:], v4[:])
		return netip.AddrFrom16(a)
	}},
	{"Teredo client", "2001::/32", func(v4 [4]byte) netip.Addr {
		a := netip.MustParseAddr("2001:0:4136:e378::").As16()
		for i, b := range v4 {
			a[12+i] = ^b
		}
		return netip.AddrFrom16(a)
	}},
}

func inLastBytes(prefix string) func([4]byte) netip.Addr {
	return func(v4 [4]byte) netip.Addr {
		a := netip.MustParseAddr(prefix).As16()
		copy(a[12:], v4[:])
		return netip.AddrFrom16(a)
	}
}

func TestGuardRefusesEmbeddedAddresses(t *testing.T) {
	plain, private := testGuard(t), testGuard(t, "10.0.0.0/8", "127.0.0.0/8")
	for _, e := range embeddings {
		t.Run(e.name, func(t *testing.T) {
			own := testGuard(t, e.prefix)
			for _, s := range []string{"10.0.0.1", "127.0.0.1", "169.254.169.254", "192.168.1.1", "0.0.0.0", "8.8.8.8"} {
				v4 := netip.MustParseAddr(s)
				addr := e.embed(v4.As4())
				require.True(t, netip.MustParsePrefix(e.prefix).Contains(addr))
				assert.False(t, dials(t, plain, addr), "%s in %s", s, addr)
				// A mapped address reaches the IPv4 address itself.
				assert.Equal(t, addr.Is4In6() && dials(t, private, v4) && special(v4), dials(t, private, addr), "%s in %s, 10/8 and 127/8 allowed", s, addr)
				assert.True(t, dials(t, own, addr), "%s in %s, its prefix allowed", s, addr)
			}
		})
	}
}

func TestGuardAllowedNetworks(t *testing.T) {
	for _, tt := range []struct {
		allow   []string
		permits []string
		refuses []string
	}{
		{[]string{"10.1.0.0/16"}, []string{"10.1.0.0", "10.1.255.255", "8.8.8.8"}, []string{"10.0.255.255", "10.2.0.0", "127.0.0.1"}},
		{[]string{"127.0.0.1"}, []string{"127.0.0.1", "::ffff:127.0.0.1"}, []string{"127.0.0.2", "::1", "::ffff:127.0.0.2"}},
		{[]string{"::1"}, []string{"::1", "2001:4860::1"}, []string{"::2", "127.0.0.1", "::ffff:127.0.0.1"}},
		{[]string{"fd00:1::/32", "192.168.0.0/24"}, []string{"fd00:1::1", "192.168.0.9"}, []string{"fd00:2::1", "192.168.1.0"}},
		{[]string{"::ffff:10.0.0.0/104"}, []string{"10.9.9.9", "::ffff:10.9.9.9"}, []string{"127.0.0.1", "::ffff:127.0.0.1"}},
		{[]string{"::ffff:10.0.0.7"}, []string{"10.0.0.7"}, []string{"10.0.0.8"}},
		{[]string{"64:ff9b::/96"}, []string{"64:ff9b::8.8.8.8"}, []string{"64:ff9b:1::1", "10.0.0.1"}},
		{[]string{"168.63.129.16/32"}, []string{"168.63.129.16"}, []string{"169.254.169.254"}},
		{[]string{"0.0.0.0/0"}, []string{"10.0.0.1", "255.255.255.255", "::ffff:10.0.0.1"}, []string{"::1", "fe80::1", "64:ff9b::a00:1"}},
		{[]string{"::/0"}, []string{"::1", "fc00::1", "64:ff9b::a00:1"}, []string{"10.0.0.1", "::ffff:10.0.0.1"}},
		{[]string{"fe80::/10"}, []string{"fe80::1"}, []string{"fe80::1%eth0"}},
	} {
		t.Run(strings.Join(tt.allow, " "), func(t *testing.T) {
			g := testGuard(t, tt.allow...)
			for _, s := range tt.permits {
				assert.True(t, dials(t, g, netip.MustParseAddr(s)), s)
			}
			for _, s := range tt.refuses {
				assert.False(t, dials(t, g, netip.MustParseAddr(s)), s)
			}
		})
	}
}

func TestGuardRefusesBadNetworks(t *testing.T) {
	for _, s := range []string{
		"", " ", "*", "localhost", "10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "10.0.0.0/255.0.0.0", "10.0.0.1/8", "010.0.0.1",
		"127.1", "::/129", "fe80::1%eth0", "fe80::%eth0/10", "fd00::1/32", "[::1]", "127.0.0.1:80", "10.0.0.1-10.0.0.9", "::ffff:10.0.0.1/104",
	} {
		_, err := newGuard(Config{AllowNetworks: []string{"10.0.0.0/8", s}})
		assertInvalid(t, err, "config.allowNetworks[1]")
	}
}

func TestGuardRefusesOtherNetworksAndAddresses(t *testing.T) {
	g := testGuard(t, "127.0.0.0/8")
	for _, tt := range []struct{ network, address string }{
		{"udp4", "8.8.8.8:53"}, {"udp6", "[2001:4860:4860::8888]:53"}, {"tcp", "8.8.8.8:443"},
		{"ip4:icmp", "8.8.8.8"}, {"unix", "/run/docker.sock"}, {"", "8.8.8.8:443"},
		{"tcp4", "8.8.8.8"}, {"tcp4", ":443"}, {"tcp4", ""}, {"tcp4", "example.com:443"}, {"tcp4", "127.1:443"}, {"tcp4", "8.8.8.8:99999"},
	} {
		assertBlocked(t, g.control(t.Context(), tt.network, tt.address, nil))
	}
}

func TestParseURLAccepts(t *testing.T) {
	for _, raw := range []string{
		"https://example.com", "https://example.com/", "http://example.com/hooks", "HTTPS://EXAMPLE.COM/X",
		"https://example.com:8443/a/b?c=d&e=%20f", "https://example.com?x", "https://example.com./", "https://a_b.example.com/",
		"https://xn--bcher-kva.example/", "https://localhost/", "https://1.2.3.4.example/", "https://1.example/", "https://example.0xg/", "https://example.x1/", "https://1a.1b/",
		"https://8.8.8.8/", "https://8.8.8.8:80/", "https://8.8.8.8:443/", "https://8.8.8.8:1024/", "https://8.8.8.8:65535/", "https://[2001:4860:4860::8888]/", "https://[2001:4860:4860::8888]:8443/",
		"https://[2001:4860:4860:0:0:0:0:8888]/", "https://10.1.2.3/", "https://[::ffff:10.1.2.3]/", "https://[fd00::1]/",
		"https://example.com/a@b:c", "https://example.com/?url=http://10.0.0.1/",
		"https://example.com/" + strings.Repeat("x", maxURL-len("https://example.com/")),
		"https://" + strings.Repeat(strings.Repeat("a", 62)+".", 4) + "a/",
	} {
		u, err := testGuard(t, "10.1.0.0/16", "fd00::/8").parseURL(raw)
		if assert.NoError(t, err, raw) {
			want, _ := url.Parse(raw)
			assert.Equal(t, want, u)
		}
	}
}

func TestParseURLRefuses(t *testing.T) {
	for name, urls := range map[string][]string{
		"no absolute http URL": {
			"", "example.com", "example.com:443", "//example.com/", "/hooks", "https:", "https:/", "https://", "https:///x", "https:example.com",
			"https://:443/", "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "unix:///run/docker.sock", "javascript:alert(1)", "://x",
		},
		"userinfo": {"https://user@example.com/", "https://user:pw@example.com/", "https://@example.com/", "https://:@example.com/", "https://example.com@10.0.0.1/"},
		"fragment": {"https://example.com/#x", "https://example.com/#", "https://example.com#@10.0.0.1/"},
		"length":   {"https://example.com/" + strings.Repeat("x", maxURL+1-len("https://example.com/"))},
		"port":     {"https://example.com:/", "https://example.com:0/", "https://example.com:65536/", "https://example.com:-1/", "https://example.com:+1/", "https://example.com:http/", "https://[2001:4860::1]:/", "https://example.com:80:80/"},
		"characters": {
			" https://example.com/", "https://example.com/ ", "https://example.com/a b", "https://example.com/\r\nX: y", "https://example.com/\n", "https://example.com/\t",
			"https://example.com/\x00", "https://example.com/\x7f", "https://example.com/\xff", "https://example.com/é", "https://exa\tmple.com/",
		},
		"host": {
			"https://bücher.example/", "https://exa mple.com/", "https://exa%6dple.com/", "https://%65xample.com/", "https://example%2ecom/", "https://example.com%00/", "https://b%C3%BCcher.example/",
			"https://.example.com/", "https://example..com/", "https://./", "https://../", "https://example.com../", "https://exa*mple.com/", "https://exa!mple.com/", "https://a,b/", "https://example.com;x/", "https://example.com\\@10.0.0.1/",
			"https://" + strings.Repeat("a", 64) + ".com/", "https://" + strings.Repeat(strings.Repeat("a", 62)+".", 4) + "aa/", "https://[example.com]/", "https://[]/", "https://[",
		},
		"forbidden literal": {
			"https://127.0.0.1/", "https://127.0.0.1:8443/", "https://10.0.0.1/", "https://0.0.0.0/", "https://169.254.169.254/latest/", "https://168.63.129.16/", "https://255.255.255.255/",
			"https://[::1]/", "https://[::]/", "https://[fe80::1]/", "https://[fd00:ec2::254]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[0:0:0:0:0:ffff:a9fe:a9fe]/",
			"https://[::ffff:8.8.8.8]/", "https://[::127.0.0.1]/", "https://[64:ff9b::7f00:1]/", "https://[2002:7f00:1::]/", "https://[::FFFF:127.0.0.1]/",
		},
		"odd literal": {
			"https://127.1/", "https://127.0.1/", "https://2130706433/", "https://0x7f000001/", "https://0X7F000001/", "https://0x7f.1/", "https://0x7f.0.0.0x1/", "https://017700000001/", "https://0177.0.0.1/",
			"https://127.0.0.01/", "https://127.0.0.1./", "https://8.8.8.8./", "https://2130706433./", "https://0x7f.1./", "https://0/", "https://0x/", "https://1.2.3/", "https://1.2.3.4.5/", "https://256.256.256.256/", "https://127.0.0.256/", "https://08.8.8.8/",
			"https://134744072/", "https://8.2056/", "https://example.1/", "https://example.0x1/", "https://example.0x/", "https://99999999999999999999/",
			"https://１２７.0.0.1/", "https://127。0。0。1/", "https://127.0.0.①/", "https://127.0.0.1\u00ad/", "https://%EF%BC%91.1.1.1/", "https://%31%32%37.0.0.1/", "https://127.0.0.%31/", "https://127%2e0%2e0%2e1/",
			"https://[fe80::1%25eth0]/", "https://[2001:4860::1%25eth0]/", "https://[2001:4860::1%eth0]/", "https://[127.0.0.1]/", "https://[8.8.8.8]/", "https://[0x7f.1]/", "https://[::127.1]/", "https://[2001:4860::1]./", "https://::1/", "https://2001:4860::1/", "https://::ffff:7f00:1/", "https://[::ffff:127.0.0.1%25x]/",
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, raw := range urls {
				u, err := testGuard(t).parseURL(raw)
				assert.Nil(t, u, raw)
				assertInvalid(t, err, "url")
			}
		})
	}
}

func TestParseURLOddLiteralsStayRefusedInAllowedNetworks(t *testing.T) {
	g := testGuard(t, "0.0.0.0/0", "::/0")
	for _, raw := range []string{"https://127.1/", "https://2130706433/", "https://127.0.0.1./", "https://[fe80::1%25eth0]/", "https://[::ffff:127.0.0.1%25x]/", "https://[127.0.0.1]/", "https://::ffff:7f00:1/"} {
		_, err := g.parseURL(raw)
		assertInvalid(t, err, "url")
	}
}

func TestParseURLPlainHTTP(t *testing.T) {
	g := configuredGuard(t, Config{})
	_, err := g.parseURL("http://example.com/")
	assertInvalid(t, err, "url")
	_, err = g.parseURL("https://example.com/")
	assert.NoError(t, err)
}

func TestParseURLErrorsHideCredentials(t *testing.T) {
	for _, raw := range []string{"https://u:hunter2@example.com/", "https://u:hunter2/@example.com/", "https://example.com/hunter2#", "https://[hunter2", "https://hunter2 "} {
		_, err := testGuard(t).parseURL(raw)
		require.Error(t, err, raw)
		assert.NotContains(t, err.Error(), "hunter2", raw)
	}
}

func TestCheckLiteral(t *testing.T) {
	g := testGuard(t, "10.1.0.0/16")
	for _, raw := range []string{
		"", "no URL", "example.com", "10.0.0.1", "ftp://10.0.0.1/", "mailto:x@10.0.0.1", "https://%zz/", "https://", "http:10.0.0.1",
		"https://example.com/", "http://user:pw@example.com:80/a b#c", "https://localhost/", "https://bücher.example/", "https://例え.テスト/", "https://例え。テスト:8443/", "https://1１.テスト１/", "https://example.com:99999/",
		"https://8.8.8.8/", "https://10.1.2.3/#x", "https://[2001:4860::1]/",
	} {
		assert.NoError(t, g.checkLiteral(raw), raw)
	}
	for _, raw := range []string{
		"http://10.0.0.1/", "https://127.0.0.1:8443/x?y#z", "HTTPS://user:pw@127.0.0.1/", "https://[::1]/", "https://[::ffff:127.0.0.1]:80/", "https://168.63.129.16/",
		"https://127.1/", "https://2130706433/", "https://0x7f.1/", "https://017700000001/", "https://127.0.0.1./", "https://0/", "https://[fe80::1%25eth0]/",
		"https://127.0.0.１/", "https://１２７.0.0.1/", "https://127。0。0。1/", "https://127．0．0．1/", "https://127｡0｡0｡1。/", "https://127.0.0.1\u00ad/", "https://127.0.0.\u200b1/", "https://0ｘ7f000001/", "https://①②⑦.0.0.①/", "https://%EF%BC%91%EF%BC%92%EF%BC%97.1/",
	} {
		assertInvalid(t, g.checkLiteral(raw), "url")
	}
}

// Before Go 1.26, net/url parses these hosts, and net/http dials them.
func TestCheckHostBrackets(t *testing.T) {
	for _, host := range []string{"::ffff:7f00:80", "::1:80", "2001:4860::1:80", "[127.0.0.1]", "[8.8.8.8]:80", "[example.com]"} {
		assertInvalid(t, testGuard(t, "0.0.0.0/0", "::/0").checkHost(&url.URL{Scheme: "https", Host: host}), "url")
	}
}

// inetAton reads an IPv4 address as the C function of that name does: one to
// four numbers, each decimal, octal or hexadecimal, the last one filling what
// is left.
func inetAton(s string) (netip.Addr, bool) {
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var ip uint64
	for i, part := range parts {
		base := 10
		switch {
		case strings.HasPrefix(part, "0x"), strings.HasPrefix(part, "0X"):
			part, base = part[2:], 16
		case strings.HasPrefix(part, "0"):
			base = 8
		}
		n, err := strconv.ParseUint(part, base, 32)
		room := uint64(1) << 8
		if i == len(parts)-1 {
			room = 1 << (8 * (4 - i))
		}
		if err != nil || n >= room {
			return netip.Addr{}, false
		}
		ip = ip*room + n
	}
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(ip)))), true
}

func TestInetAton(t *testing.T) {
	for _, s := range []string{"127.0.0.1", "127.0.1", "127.1", "2130706433", "0x7f000001", "0X7f.1", "017700000001", "0177.0.0x0.01"} {
		addr, ok := inetAton(s)
		assert.True(t, ok, s)
		assert.Equal(t, "127.0.0.1", addr.String(), s)
	}
	for _, s := range []string{"", "1.2.3.4.5", "256.1.1.1", "1.16777216", "4294967296", "09.1", "a", "1..1", "-1"} {
		_, ok := inetAton(s)
		assert.False(t, ok, s)
	}
}

func FuzzParseURL(f *testing.F) {
	for _, raw := range []string{
		"https://example.com/", "http://user:pw@example.com:8080/a?b#c", "https://127.0.0.1/", "https://10.1.2.3:443/", "https://127.1/", "https://0x7f.1/", "https://017700000001./",
		"https://2130706433/", "https://[::1]/", "https://[::ffff:127.0.0.1]:80/", "https://[fe80::1%25eth0]/", "https://[64:ff9b::7f00:1]/", "https://１２７.0.0.1/", "https://%31.1.1.1/", "https://a\\@b/", "ftp://10.0.0.1", "https://a:0/",
		"https://a.example.com.:8443/", "https://EXAMPLE.com:25/", "https://example.com:6667/", "https://8.8.8.8:443", "https://xexample.com/", "https://[2001:4860::1]:22/",
	} {
		f.Add(raw)
	}
	g := testGuard(f, "10.1.0.0/16")
	listed := configuredGuard(f, Config{AllowNetworks: []string{"10.1.0.0/16"}, AllowHTTP: true, AllowHosts: []string{"*.example.com", "8.8.8.8"}, AllowPorts: []int{25}})
	f.Fuzz(func(t *testing.T, raw string) {
		if u, err := listed.parseURL(raw); err == nil {
			host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
			assert.True(t, host == "8.8.8.8" || strings.HasSuffix(host, ".example.com"), host)
			assert.NoError(t, listed.checkRequest(u))
		} else {
			assertInvalid(t, err, "url")
		}
		if u, err := url.Parse(raw); err == nil && (u.Scheme == "http" || u.Scheme == "https") && listed.checkLiteral(raw) == nil && validPort(u) {
			assert.NoError(t, listed.checkRequest(u), "a hook that may be stored may be sent to")
		}
		u, err := g.parseURL(raw)
		if err != nil {
			assertInvalid(t, err, "url")
			return
		}
		assert.NoError(t, g.checkLiteral(raw), "parseURL is the stricter one")
		assert.NoError(t, g.checkRequest(u))
		if port, err := strconv.Atoi(u.Port()); err == nil {
			assert.True(t, port == 80 || port == 443 || port >= 1024 && port <= 65535 && port != 6667, port)
		}
		assert.Nil(t, u.User)
		assert.Contains(t, []string{"http", "https"}, u.Scheme)
		assert.LessOrEqual(t, len(raw), maxURL)
		assert.NotContains(t, raw, "#")
		assert.False(t, strings.ContainsAny(raw, "\r\n\t \x00\x7f"))

		host := u.Hostname()
		assert.NotEmpty(t, host)
		assert.False(t, strings.ContainsAny(host, "%@/\\?"), host)
		for _, h := range []string{host, strings.TrimSuffix(host, ".")} {
			if addr, err := netip.ParseAddr(h); err == nil {
				assert.True(t, g.permits(addr), h)
				assert.Empty(t, addr.Zone())
			}
			if addr, ok := inetAton(h); ok {
				assert.Equal(t, addr.String(), h, "only the usual form")
				assert.True(t, g.permits(addr), h)
			}
		}
		again, err := url.Parse(u.String())
		if assert.NoError(t, err) {
			assert.Equal(t, u.Host, again.Host, "what is sent leads to the host that was checked")
		}
	})
}

// guardedDialer dials as the engine does, with the names of dns only.
func guardedDialer(g *guard, dns *dnsServer) *dialer {
	return newDialer(dns.resolver(), g)
}

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
			_, err := guardedDialer(testGuard(t), dns).DialContext(t.Context(), "tcp", net.JoinHostPort(host, port))
			assertBlocked(t, err)
		}
		assertUntouched(t, l)
	})
	t.Run("allowed", func(t *testing.T) {
		_, port := listenTCP(t)
		for _, host := range []string{"127.0.0.1", "::ffff:127.0.0.1"} {
			conn, err := guardedDialer(testGuard(t, "127.0.0.0/8"), dns).DialContext(t.Context(), "tcp", net.JoinHostPort(host, port))
			if assert.NoError(t, err, host) {
				assert.NoError(t, conn.Close())
			}
		}
	})
	t.Run("UDP", func(t *testing.T) {
		_, err := guardedDialer(testGuard(t, "127.0.0.0/8"), dns).DialContext(t.Context(), "udp", "127.0.0.1:9")
		assertBlocked(t, err)
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
			_, err := guardedDialer(testGuard(t), dns).DialContext(t.Context(), "tcp", name+":"+port)
			assertBlocked(t, err)
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
	g := testGuard(t)

	first, err := dns.resolver().LookupNetIP(t.Context(), "ip4", "rebind.test.")
	require.NoError(t, err)
	require.Len(t, first, 1)
	assert.True(t, dials(t, g, first[0].Unmap()), "the first answer is public")

	_, err = guardedDialer(g, dns).DialContext(t.Context(), "tcp4", "rebind.test.:"+port)
	assertBlocked(t, err)
	assertUntouched(t, l)
}

func TestHTTPClientReportsTheRefusal(t *testing.T) {
	dns := newDNSServer(t, map[string][]string{"inside.test.": {"127.0.0.1"}})
	l, port := listenTCP(t)
	transport := &http.Transport{DialContext: guardedDialer(testGuard(t), dns).DialContext}
	t.Cleanup(transport.CloseIdleConnections)

	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://inside.test.:"+port+"/", http.NoBody)
	require.NoError(t, err)
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	var wrapped *url.Error
	require.ErrorAs(t, err, &wrapped)
	assertBlocked(t, err)
	assert.Contains(t, err.Error(), "127.0.0.1", "the error names the address that the name stands for")
	assertUntouched(t, l)
}

// A dnsServer answers queries for A and AAAA over UDP, from the loopback.
type dnsServer struct {
	conn net.PacketConn
	zone map[string]*dnsName
}

// A dnsName answers the first query of a type with the first of its answers, as
// far as that is of the type, and so on; the last one stays.
type dnsName struct {
	answers [][]netip.Addr
	queries map[uint16]*atomic.Int64
}

const (
	dnsA    = 1
	dnsAAAA = 28
)

// newDNSServer serves the zone: names with their answers, each of which is one or
// more addresses with spaces between them.
func newDNSServer(t *testing.T, zone map[string][]string) *dnsServer {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	s := &dnsServer{conn: conn, zone: map[string]*dnsName{}}
	for name, answers := range zone {
		n := &dnsName{answers: make([][]netip.Addr, len(answers)), queries: map[uint16]*atomic.Int64{dnsA: {}, dnsAAAA: {}}}
		for i, answer := range answers {
			for addr := range strings.FieldsSeq(answer) {
				n.answers[i] = append(n.answers[i], netip.MustParseAddr(addr))
			}
		}
		s.zone[name] = n
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.serve()
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return s
}

func (s *dnsServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp4", s.conn.LocalAddr().String())
	}}
}

func (s *dnsServer) serve() {
	buf := make([]byte, 1500)
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if answer := s.answer(buf[:n]); answer != nil {
			_, _ = s.conn.WriteTo(answer, from)
		}
	}
}

// answer makes the message that answers query (RFC 1035, section 4).
func (s *dnsServer) answer(query []byte) []byte {
	const header = 12
	if len(query) < header {
		return nil
	}
	var name strings.Builder
	end := header
	for end < len(query) && query[end] != 0 {
		next := end + 1 + int(query[end])
		if next > len(query) {
			return nil
		}
		name.Write(query[end+1 : next])
		name.WriteByte('.')
		end = next
	}
	end++ // the root label
	if end+4 > len(query) {
		return nil
	}
	kind := binary.BigEndian.Uint16(query[end:])
	question := query[header : end+4]

	const nameError = 3
	code, addrs := uint16(nameError), []netip.Addr(nil)
	if n := s.zone[strings.ToLower(name.String())]; n != nil {
		code, addrs = 0, n.next(kind)
	}
	msg := append([]byte(nil), query[:2]...)              // the query's ID
	msg = binary.BigEndian.AppendUint16(msg, 0x8180|code) // a response, recursion desired and available
	msg = append(msg, 0, 1, 0, byte(len(addrs)), 0, 0, 0, 0)
	msg = append(msg, question...)
	for _, addr := range addrs {
		msg = append(msg, 0xc0, header) // the name, as a pointer to the question's
		msg = binary.BigEndian.AppendUint16(msg, kind)
		msg = append(msg, 0, 1, 0, 0, 0, 0) // class IN, not to be cached
		msg = binary.BigEndian.AppendUint16(msg, uint16(addr.BitLen()/8))
		msg = append(msg, addr.AsSlice()...)
	}
	return msg
}

// next returns the addresses for the next query of a type.
func (n *dnsName) next(kind uint16) (addrs []netip.Addr) {
	count := n.queries[kind]
	if count == nil {
		return nil
	}
	for _, addr := range n.answers[min(int(count.Add(1)), len(n.answers))-1] {
		if addr.Is4() == (kind == dnsA) {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

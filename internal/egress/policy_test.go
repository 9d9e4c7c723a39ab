package egress_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks/internal/egress"
)

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

var discard = slog.New(slog.DiscardHandler)

func testPolicy(t testing.TB, allow ...string) *egress.Policy {
	t.Helper()
	return configured(t, egress.Config{AllowNetworks: allow, AllowHTTP: true})
}

func configured(t testing.TB, cfg egress.Config) *egress.Policy {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = discard
	}
	p, err := egress.NewPolicy(cfg)
	require.NoError(t, err)
	return p
}

// dials reports whether p lets a dial of addr through, and fails the test if
// it refuses it in another way than it should.
func dials(t *testing.T, p *egress.Policy, addr netip.Addr) bool {
	t.Helper()
	network := "tcp4"
	if addr.Is6() {
		network = "tcp6"
	}
	err := p.Control(t.Context(), network, netip.AddrPortFrom(addr, 443).String(), nil)
	if err == nil {
		return true
	}
	assertForbidden(t, err)
	assert.Contains(t, err.Error(), addr.String(), "the error names the address")
	return false
}

func assertForbidden(t *testing.T, err error) {
	t.Helper()
	var forbidden *egress.ForbiddenError
	assert.ErrorAs(t, err, &forbidden)
}

func assertInvalid(t *testing.T, err error, field string) {
	t.Helper()
	var invalid *egress.InvalidError
	if assert.ErrorAs(t, err, &invalid) {
		assert.Equal(t, field, invalid.Field)
		assert.NotEmpty(t, invalid.Reason)
	}
}

func TestPolicyRefusesSpecialRanges(t *testing.T) {
	p := testPolicy(t)
	for _, r := range specialRanges {
		t.Run(r.prefix, func(t *testing.T) {
			network := netip.MustParsePrefix(r.prefix)
			require.Equal(t, network.Masked(), network)
			first, middle, last := span(network)
			for _, addr := range []netip.Addr{first, middle, last} {
				assert.False(t, dials(t, p, addr), "%s is in %s (%s)", addr, network, r.source)
			}
			for _, addr := range []netip.Addr{first.Prev(), last.Next()} {
				if addr.IsValid() && !special(addr) {
					assert.True(t, dials(t, p, addr), "%s is public, beside %s", addr, network)
				}
			}
		})
	}
}

func TestPolicyPermitsPublicAddresses(t *testing.T) {
	p := testPolicy(t)
	for _, s := range []string{
		"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
		"126.255.255.255", "128.0.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0",
		"168.63.129.15", "168.63.129.17", "198.17.255.255", "198.20.0.0", "223.255.255.255",
		"2000::", "2001:200::1", "2001:4860:4860::8888", "2001:db7:ffff::", "2001:db9::", "2003::",
		"2606:4700:4700::1111", "3ffe:ffff::", "3fff:1000::",
	} {
		assert.True(t, dials(t, p, netip.MustParseAddr(s)), s)
	}
}

func TestPolicyRefusesMetadataServices(t *testing.T) {
	p := testPolicy(t)
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
		assert.False(t, dials(t, p, netip.MustParseAddr(s)), s)
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

func TestPolicyRefusesEmbeddedAddresses(t *testing.T) {
	plain, private := testPolicy(t), testPolicy(t, "10.0.0.0/8", "127.0.0.0/8")
	for _, e := range embeddings {
		t.Run(e.name, func(t *testing.T) {
			own := testPolicy(t, e.prefix)
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

func TestPolicyAllowedNetworks(t *testing.T) {
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
			p := testPolicy(t, tt.allow...)
			for _, s := range tt.permits {
				assert.True(t, dials(t, p, netip.MustParseAddr(s)), s)
			}
			for _, s := range tt.refuses {
				assert.False(t, dials(t, p, netip.MustParseAddr(s)), s)
			}
		})
	}
}

func TestPolicyRefusesBadNetworks(t *testing.T) {
	for _, s := range []string{
		"", " ", "*", "localhost", "10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "10.0.0.0/255.0.0.0", "10.0.0.1/8", "010.0.0.1",
		"127.1", "::/129", "fe80::1%eth0", "fe80::%eth0/10", "fd00::1/32", "[::1]", "127.0.0.1:80", "10.0.0.1-10.0.0.9", "::ffff:10.0.0.1/104",
	} {
		_, err := egress.NewPolicy(egress.Config{AllowNetworks: []string{"10.0.0.0/8", s}, Logger: discard})
		assertInvalid(t, err, "allowNetworks[1]")
	}
}

func TestPolicyRefusesOtherNetworksAndAddresses(t *testing.T) {
	p := testPolicy(t, "127.0.0.0/8")
	for _, tt := range []struct{ network, address string }{
		{"udp4", "8.8.8.8:53"}, {"udp6", "[2001:4860:4860::8888]:53"}, {"tcp", "8.8.8.8:443"},
		{"ip4:icmp", "8.8.8.8"}, {"unix", "/run/docker.sock"}, {"", "8.8.8.8:443"},
		{"tcp4", "8.8.8.8"}, {"tcp4", ":443"}, {"tcp4", ""}, {"tcp4", "example.com:443"}, {"tcp4", "127.1:443"}, {"tcp4", "8.8.8.8:99999"},
	} {
		assertForbidden(t, p.Control(t.Context(), tt.network, tt.address, nil))
	}
}

// badPorts is the list of the fetch standard.
// https://fetch.spec.whatwg.org/#port-blocking
var badPorts = []int{
	0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110, 111,
	113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554,
	556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666,
	6667, 6668, 6669, 6679, 6697, 10080,
}

func TestPorts(t *testing.T) {
	plain := testPolicy(t)
	allowing := configured(t, egress.Config{AllowPorts: []int{25, 6667, 65535}, AllowHTTP: true})
	refused := append([]int{2, 79, 81, 442, 444, 445, 1023}, badPorts...)
	for _, port := range refused {
		assert.False(t, plain.PermitsPort(port), port)
		if port > 0 {
			assertInvalid(t, plain.CheckLiteral(fmt.Sprintf("http://example.com:%d/", port)), "url")
		}
		assertForbidden(t, plain.Control(t.Context(), "tcp4", fmt.Sprintf("8.8.8.8:%d", port), nil))
		assertForbidden(t, plain.CheckRequest(&url.URL{Scheme: "https", Host: fmt.Sprintf("example.com:%d", port)}))
		_, err := plain.ParseURL(fmt.Sprintf("https://example.com:%d/", port))
		assertInvalid(t, err, "url")
		assert.Equal(t, port == 25 || port == 6667, allowing.PermitsPort(port), port)
	}
	for _, port := range []int{80, 443, 1024, 1718, 1721, 3000, 5432, 6664, 6670, 8080, 8443, 10079, 10081, 49152, 65535} {
		assert.True(t, plain.PermitsPort(port), port)
		_, err := plain.ParseURL(fmt.Sprintf("https://[2001:4860::1]:%d/", port))
		assert.NoError(t, err)
		assert.NoError(t, plain.Control(t.Context(), "tcp6", fmt.Sprintf("[2001:4860::1]:%d", port), nil))
		assert.NoError(t, plain.CheckRequest(&url.URL{Scheme: "https", Host: fmt.Sprintf("example.com:%d", port)}))
	}
	for _, port := range []string{"65536", "99999999999999999999"} {
		assertForbidden(t, plain.CheckRequest(&url.URL{Scheme: "https", Host: "example.com:" + port}))
	}
	assertForbidden(t, testPolicy(t, "127.0.0.0/8").Control(t.Context(), "tcp4", "127.0.0.1:22", nil))
}

func TestHosts(t *testing.T) {
	p := configured(t, egress.Config{AllowHTTP: true, AllowHosts: []string{"Example.com", "*.shop.example.", "8.8.8.8", "2001:4860:0::1", "10.0.0.1", "xn--bcher-kva.example", "intranet"}})
	for _, host := range []string{
		"example.com", "EXAMPLE.COM", "example.com.", "example.com:8443", "a.shop.example", "A.b.C.shop.example.", "8.8.8.8", "8.8.8.8:8080",
		"[2001:4860::1]", "[2001:4860:0:0:0:0:0:1]:8443", "xn--bcher-kva.example", "intranet", "_a.shop.example",
	} {
		_, err := p.ParseURL("https://" + host + "/")
		assert.NoError(t, err, host)
		assert.NoError(t, p.CheckLiteral("https://"+host+"/"), host)
		assert.NoError(t, p.CheckRequest(&url.URL{Host: host}), host)
	}
	for _, host := range []string{
		"shop.example", ".shop.example", "shop.example.", "ashop.example", "a.shop.example.org", "www.example.com", "example.com.evil.test", "example.comevil.test",
		"evil.test", "8.8.4.4", "[2001:4860::2]", "8.8.8.8.", "a..shop.example", "com", "localhost", "ｅxample.com", "evil.test／.shop.example", "bücher.example", "",
		"example.com..", "*.shop.example", "\u212amart.shop.example", "evil.test%2f.shop.example", "127.1", "evil.test\x00.shop.example", "[fe80::1%.shop.example]", "[2001:4860::1%eth0]", "[::ffff:8.8.4.4]",
	} {
		assert.Error(t, p.CheckRequest(&url.URL{Host: host}), host)
		_, err := p.ParseURL("https://" + host + "/")
		assertInvalid(t, err, "url")
	}
	t.Run("an allow-list alone opens no address", func(t *testing.T) {
		_, err := p.ParseURL("https://10.0.0.1/")
		assertInvalid(t, err, "url")
		assertForbidden(t, p.Control(t.Context(), "tcp4", "10.0.0.1:443", nil))
		both := configured(t, egress.Config{AllowHosts: []string{"10.0.0.1"}, AllowNetworks: []string{"10.0.0.0/8"}})
		_, err = both.ParseURL("https://10.0.0.1/")
		assert.NoError(t, err)
		_, err = both.ParseURL("https://10.0.0.2/")
		assertInvalid(t, err, "url")
	})
	t.Run("none is any", func(t *testing.T) {
		assert.NoError(t, testPolicy(t).CheckRequest(&url.URL{Host: "anything.example"}))
	})
}

func TestBadHostsAndPorts(t *testing.T) {
	for _, s := range []string{
		"", "*", "*.", "*.*", "*.*.example.com", "a.*.example.com", "*example.com", "https://example.com", "example.com:443", "example.com/x", "bücher.example",
		"127.1", "0x7f.1", "*.1", "*.8.8.8.8", "[2001:4860::1]", "fe80::1%eth0", "*.2001:4860::1", "..", ".example.com", "exa mple.com", "10.0.0.0/8",
	} {
		_, err := egress.NewPolicy(egress.Config{AllowHosts: []string{"example.com", s}, Logger: discard})
		assertInvalid(t, err, "allowHosts[1]")
	}
	for _, port := range []int{0, -1, 65536} {
		_, err := egress.NewPolicy(egress.Config{AllowPorts: []int{25, port}, Logger: discard})
		assertInvalid(t, err, "allowPorts[1]")
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
		machine := func(allow ...string) *egress.Policy {
			p := testPolicy(t, allow...)
			p.SetInterfaces(func() ([]net.Addr, error) { reads++; return now, readErr }, logger)
			return p
		}
		p := machine()
		check := func(want bool, addrs ...string) {
			t.Helper()
			for _, a := range addrs {
				assert.Equal(t, want, dials(t, p, netip.MustParseAddr(a)), a)
				_, err := p.ParseURL("https://" + strings.Trim(netip.AddrPortFrom(netip.MustParseAddr(a), 443).String(), " ") + "/")
				assert.Equal(t, want, err == nil, a)
			}
		}
		check(false, "93.184.215.14", "2606:2800:21f::1", "127.0.0.1")
		check(true, "93.184.215.13", "2606:2800:21f::2")
		assert.False(t, p.Permits(netip.MustParseAddr("::ffff:93.184.215.14")))
		assert.Equal(t, 1, reads)

		now = interfaces("93.184.215.15/24")
		check(false, "93.184.215.14")
		time.Sleep(time.Minute)
		check(true, "93.184.215.14")
		check(false, "93.184.215.15")
		assert.Equal(t, 2, reads)

		// The last known addresses stay refused when they cannot be read.
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
		p = machine("93.184.215.0/24")
		check(true, "93.184.215.14")
	})
}

// The addresses of this machine are found, and the check allocates nothing.
func TestInterfaceAddrs(t *testing.T) {
	p := testPolicy(t)
	assert.True(t, p.IsOwn(netip.MustParseAddr("127.0.0.1")))
	assert.Zero(t, testing.AllocsPerRun(100, func() { p.IsOwn(netip.MustParseAddr("127.0.0.1")) }))
}

package egress_test

import (
	"encoding/binary"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks/internal/egress"
)

func TestParseURLAccepts(t *testing.T) {
	for _, raw := range []string{
		"https://example.com", "https://example.com/", "http://example.com/hooks", "HTTPS://EXAMPLE.COM/X",
		"https://example.com:8443/a/b?c=d&e=%20f", "https://example.com?x", "https://example.com./", "https://a_b.example.com/",
		"https://xn--bcher-kva.example/", "https://localhost/", "https://1.2.3.4.example/", "https://1.example/", "https://example.0xg/", "https://example.x1/", "https://1a.1b/",
		"https://8.8.8.8/", "https://8.8.8.8:80/", "https://8.8.8.8:443/", "https://8.8.8.8:1024/", "https://8.8.8.8:65535/", "https://[2001:4860:4860::8888]/", "https://[2001:4860:4860::8888]:8443/",
		"https://[2001:4860:4860:0:0:0:0:8888]/", "https://10.1.2.3/", "https://[::ffff:10.1.2.3]/", "https://[fd00::1]/",
		"https://example.com/a@b:c", "https://example.com/?url=http://10.0.0.1/",
		"https://example.com/" + strings.Repeat("x", egress.MaxURL-len("https://example.com/")),
		"https://" + strings.Repeat(strings.Repeat("a", 62)+".", 4) + "a/",
	} {
		u, err := testPolicy(t, "10.1.0.0/16", "fd00::/8").ParseURL(raw)
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
		"length":   {"https://example.com/" + strings.Repeat("x", egress.MaxURL+1-len("https://example.com/"))},
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
				u, err := testPolicy(t).ParseURL(raw)
				assert.Nil(t, u, raw)
				assertInvalid(t, err, "url")
			}
		})
	}
}

func TestParseURLOddLiteralsStayRefusedInAllowedNetworks(t *testing.T) {
	p := testPolicy(t, "0.0.0.0/0", "::/0")
	for _, raw := range []string{"https://127.1/", "https://2130706433/", "https://127.0.0.1./", "https://[fe80::1%25eth0]/", "https://[::ffff:127.0.0.1%25x]/", "https://[127.0.0.1]/", "https://::ffff:7f00:1/"} {
		_, err := p.ParseURL(raw)
		assertInvalid(t, err, "url")
	}
}

func TestParseURLPlainHTTP(t *testing.T) {
	p := configured(t, egress.Config{})
	_, err := p.ParseURL("http://example.com/")
	assertInvalid(t, err, "url")
	_, err = p.ParseURL("https://example.com/")
	assert.NoError(t, err)
}

func TestParseURLErrorsHideCredentials(t *testing.T) {
	for _, raw := range []string{"https://u:hunter2@example.com/", "https://u:hunter2/@example.com/", "https://example.com/hunter2#", "https://[hunter2", "https://hunter2 "} {
		_, err := testPolicy(t).ParseURL(raw)
		require.Error(t, err, raw)
		assert.NotContains(t, err.Error(), "hunter2", raw)
	}
}

func TestCheckLiteral(t *testing.T) {
	p := testPolicy(t, "10.1.0.0/16")
	for _, raw := range []string{
		"", "no URL", "example.com", "10.0.0.1", "ftp://10.0.0.1/", "mailto:x@10.0.0.1", "https://%zz/", "https://", "http:10.0.0.1",
		"https://example.com/", "http://user:pw@example.com:80/a b#c", "https://localhost/", "https://bücher.example/", "https://例え.テスト/", "https://例え。テスト:8443/", "https://1１.テスト１/", "https://example.com:99999/",
		"https://8.8.8.8/", "https://10.1.2.3/#x", "https://[2001:4860::1]/",
	} {
		assert.NoError(t, p.CheckLiteral(raw), raw)
	}
	for _, raw := range []string{
		"http://10.0.0.1/", "https://127.0.0.1:8443/x?y#z", "HTTPS://user:pw@127.0.0.1/", "https://[::1]/", "https://[::ffff:127.0.0.1]:80/", "https://168.63.129.16/",
		"https://127.1/", "https://2130706433/", "https://0x7f.1/", "https://017700000001/", "https://127.0.0.1./", "https://0/", "https://[fe80::1%25eth0]/",
		"https://127.0.0.１/", "https://１２７.0.0.1/", "https://127。0。0。1/", "https://127．0．0．1/", "https://127｡0｡0｡1。/", "https://127.0.0.1\u00ad/", "https://127.0.0.\u200b1/", "https://0ｘ7f000001/", "https://①②⑦.0.0.①/", "https://%EF%BC%91%EF%BC%92%EF%BC%97.1/",
	} {
		assertInvalid(t, p.CheckLiteral(raw), "url")
	}
}

// Before Go 1.26, net/url parses these hosts, and net/http dials them.
func TestCheckHostBrackets(t *testing.T) {
	for _, host := range []string{"::ffff:7f00:80", "::1:80", "2001:4860::1:80", "[127.0.0.1]", "[8.8.8.8]:80", "[example.com]"} {
		assertInvalid(t, testPolicy(t, "0.0.0.0/0", "::/0").CheckHost(&url.URL{Scheme: "https", Host: host}), "url")
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
		limit := uint64(1) << 8
		if i == len(parts)-1 {
			limit = 1 << (8 * (4 - i))
		}
		if err != nil || n >= limit {
			return netip.Addr{}, false
		}
		ip = ip*limit + n
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
	p := testPolicy(f, "10.1.0.0/16")
	listed := configured(f, egress.Config{AllowNetworks: []string{"10.1.0.0/16"}, AllowHTTP: true, AllowHosts: []string{"*.example.com", "8.8.8.8"}, AllowPorts: []int{25}})
	f.Fuzz(func(t *testing.T, raw string) {
		if u, err := listed.ParseURL(raw); err == nil {
			host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
			assert.True(t, host == "8.8.8.8" || strings.HasSuffix(host, ".example.com"), host)
			assert.NoError(t, listed.CheckRequest(u))
		} else {
			assertInvalid(t, err, "url")
		}
		if u, err := url.Parse(raw); err == nil && (u.Scheme == "http" || u.Scheme == "https") && listed.CheckLiteral(raw) == nil && egress.ValidPort(u) {
			assert.NoError(t, listed.CheckRequest(u), "a hook that may be stored may be sent to")
		}
		u, err := p.ParseURL(raw)
		if err != nil {
			assertInvalid(t, err, "url")
			return
		}
		assert.NoError(t, p.CheckLiteral(raw), "parseURL is the stricter one")
		assert.NoError(t, p.CheckRequest(u))
		if port, err := strconv.Atoi(u.Port()); err == nil {
			assert.True(t, port == 80 || port == 443 || port >= 1024 && port <= 65535 && port != 6667, port)
		}
		assert.Nil(t, u.User)
		assert.Contains(t, []string{"http", "https"}, u.Scheme)
		assert.LessOrEqual(t, len(raw), egress.MaxURL)
		assert.NotContains(t, raw, "#")
		assert.False(t, strings.ContainsAny(raw, "\r\n\t \x00\x7f"))

		host := u.Hostname()
		assert.NotEmpty(t, host)
		assert.False(t, strings.ContainsAny(host, "%@/\\?"), host)
		for _, h := range []string{host, strings.TrimSuffix(host, ".")} {
			if addr, err := netip.ParseAddr(h); err == nil {
				assert.True(t, p.Permits(addr), h)
				assert.Empty(t, addr.Zone())
			}
			if addr, ok := inetAton(h); ok {
				assert.Equal(t, addr.String(), h, "only the usual form")
				assert.True(t, p.Permits(addr), h)
			}
		}
		again, err := url.Parse(u.String())
		if assert.NoError(t, err) {
			assert.Equal(t, u.Host, again.Host, "what is sent leads to the host that was checked")
		}
	})
}

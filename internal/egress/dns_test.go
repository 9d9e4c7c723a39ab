package egress_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

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

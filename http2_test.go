package hooks_test

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
)

// What becomes of requests that HTTP/2 refuses. net/http has no server that does
// so, so this one writes its frames by hand (RFC 9113, section 4).

// The types, flags and error codes of frames that are used here.
const (
	frameData     = 0x0
	frameHeaders  = 0x1
	frameReset    = 0x3
	frameSettings = 0x4
	framePing     = 0x6
	frameGoAway   = 0x7

	flagAck        = 0x1 // of SETTINGS and PING
	flagEndStream  = 0x1
	flagEndHeaders = 0x4

	noError         = 0x0
	protocolError   = 0x1
	internalError   = 0x2
	refusedStream   = 0x7
	enhanceYourCalm = 0xb
)

// An http2Conn is the server's side of a connection.
type http2Conn struct{ net.Conn }

func (c http2Conn) write(kind, flags byte, stream uint32, payload []byte) {
	frame := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	frame = append(frame, flags)
	frame = binary.BigEndian.AppendUint32(frame, stream)
	_, _ = c.Write(append(frame, payload...)) // it fails when the client has gone
}

// read returns the next frame, or an error when the client has gone.
func (c http2Conn) read() (kind, flags byte, stream uint32, payload []byte, err error) {
	var header [9]byte
	if _, err = io.ReadFull(c, header[:]); err != nil {
		return 0, 0, 0, nil, err
	}
	length := binary.BigEndian.Uint32(header[:4]) >> 8
	payload = make([]byte, length)
	_, err = io.ReadFull(c, payload)
	return header[3], header[4], binary.BigEndian.Uint32(header[5:]), payload, err
}

// An http2Response is what the server does with the n-th request, counted from 1
// over all connections.
type http2Response func(c http2Conn, stream uint32, n int)

func respondOK(c http2Conn, stream uint32) {
	const status200 = 0x88 // an index of HPACK's static table (RFC 7541, appendix A)
	c.write(frameHeaders, flagEndHeaders|flagEndStream, stream, []byte{status200})
}

func reset(code uint32) http2Response {
	return func(c http2Conn, stream uint32, _ int) {
		c.write(frameReset, 0, stream, binary.BigEndian.AppendUint32(nil, code))
	}
}

// goneAway says that the connection ends, and that requests up to last were
// processed.
func goneAway(last, code uint32) http2Response {
	return func(c http2Conn, _ uint32, _ int) {
		payload := binary.BigEndian.AppendUint32(nil, last)
		c.write(frameGoAway, 0, 0, binary.BigEndian.AppendUint32(payload, code))
	}
}

// malformed is a response with a control character in a field.
func malformed(c http2Conn, stream uint32, _ int) {
	const status200, literal = 0x88, 0x00
	c.write(frameHeaders, flagEndHeaders|flagEndStream, stream, []byte{status200, literal, 1, 'x', 1, '\x01'})
}

func closed(c http2Conn, _ uint32, _ int) { _ = c.Close() }

func both(first, second http2Response) http2Response {
	return func(c http2Conn, stream uint32, n int) {
		first(c, stream, n)
		second(c, stream, n)
	}
}

// An http2Server counts its connections and keeps the bodies of its requests.
type http2Server struct {
	response http2Response
	config   *tls.Config

	mu     sync.Mutex
	conns  int
	bodies []string
}

func (s *http2Server) serve(raw net.Conn) {
	s.mu.Lock()
	s.conns++
	s.mu.Unlock()
	c := http2Conn{tls.Server(raw, s.config)}
	defer func() { _ = c.Close() }()
	if _, err := io.CopyN(io.Discard, c, int64(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))); err != nil {
		return
	}
	c.write(frameSettings, 0, 0, nil)
	bodies := map[uint32]string{}
	for {
		kind, flags, stream, payload, err := c.read()
		switch {
		case err != nil:
			return
		case (kind == frameSettings || kind == framePing) && flags&flagAck == 0:
			response := payload
			if kind == frameSettings {
				response = nil
			}
			c.write(kind, flagAck, 0, response)
		case kind == frameData:
			bodies[stream] += string(payload)
		}
		if (kind == frameData || kind == frameHeaders) && flags&flagEndStream != 0 {
			s.mu.Lock()
			s.bodies = append(s.bodies, bodies[stream])
			n := len(s.bodies)
			s.mu.Unlock()
			s.response(c, stream, n)
		}
	}
}

func TestRequestsThatHTTP2Refuses(t *testing.T) {
	// In these tests, the server responds to the first request of all.
	inTurn := func(responses ...http2Response) http2Response {
		return func(c http2Conn, stream uint32, n int) {
			if n == 1 || n-2 >= len(responses) {
				respondOK(c, stream)
				return
			}
			responses[n-2](c, stream, n)
		}
	}
	always := func(response http2Response) http2Response {
		return inTurn(response, response, response, response)
	}
	for name, tt := range map[string]struct {
		response http2Response
		requests int // for the second event
		class    hooks.ErrorClass
	}{
		"GOAWAY":                          {inTurn(goneAway(1, noError)), 2, ""},
		"GOAWAY and closed":               {inTurn(both(goneAway(1, noError), closed)), 2, ""},
		"GOAWAY too late and closed":      {inTurn(both(goneAway(1<<30, noError), closed)), 2, ""},
		"GOAWAY with an error":            {inTurn(goneAway(1, enhanceYourCalm)), 2, ""},
		"GOAWAY always":                   {always(goneAway(0, noError)), 2, hooks.ClassRefused},
		"GOAWAY always, and closed":       {always(both(goneAway(0, noError), closed)), 2, hooks.ClassRefused},
		"GOAWAY with an error always":     {always(goneAway(0, enhanceYourCalm)), 2, hooks.ClassHTTP2},
		"GOAWAY too late always":          {always(both(goneAway(1<<30, internalError), closed)), 2, hooks.ClassHTTP2},
		"REFUSED_STREAM":                  {inTurn(reset(refusedStream)), 2, ""},
		"REFUSED_STREAM always":           {always(reset(refusedStream)), 2, hooks.ClassRefused},
		"another error of the stream":     {always(reset(internalError)), 1, hooks.ClassHTTP2},
		"a closed connection":             {inTurn(closed), 2, ""},
		"a closed connection, every time": {always(closed), 2, hooks.ClassConnect},
		"a malformed response":            {always(malformed), 1, hooks.ClassHTTP},
		"a protocol error":                {always(reset(protocolError)), 2, hooks.ClassRefused},
	} {
		for _, protocol := range requestKinds {
			t.Run(name+"/"+protocol, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := &http2Server{response: tt.response, config: &tls.Config{
						Certificates: []tls.Certificate{selfSigned(t)}, NextProtos: []string{"h2"},
					}}
					harness := hookstest.New(t, speakBodiless, func(c *hooks.Config) {
						c.TLS = &tls.Config{InsecureSkipVerify: true}
					})
					serveRaw(t, harness.Network.Listen("shop.example"), s.serve)
					h := registerOnce(t, harness.Manager, "https://shop.example/in", protocol)
					for _, id := range []string{"e1", "e2"} {
						triggerIDs(t, harness.Manager, id)
						synctest.Wait()
					}

					log, err := harness.Manager.Logs(t.Context(), hooks.LogQuery{})
					require.NoError(t, err)
					require.Len(t, log.Items, 2)
					assert.Equal(t, tt.class, log.Items[0].Class, log.Items[0].Error)
					assert.Equal(t, tt.class != "", stored(t, harness.Manager, h).Health.Failures > 0)
					require.Len(t, s.bodies, 1+tt.requests)
					assert.LessOrEqual(t, s.conns, 4)
					assert.Equal(t, s.bodies[1], s.bodies[tt.requests], "the body is the same")
					assert.Equal(t, protocol == hooks.StandardWebhooks, s.bodies[1] != "")
				})
			})
		}
	}
}

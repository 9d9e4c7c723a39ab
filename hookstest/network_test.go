package hookstest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks/hookstest"
)

// connect returns the two ends of a connection.
func connect(t *testing.T) (client, server net.Conn) {
	t.Helper()
	var network hookstest.Network
	l := network.Listen("shop.example")
	accepted := make(chan net.Conn)
	go func() {
		c, err := l.Accept()
		assert.NoError(t, err)
		accepted <- c
	}()
	client, err := network.Dial(t.Context(), "tcp", "shop.example:443")
	require.NoError(t, err)
	server = <-accepted
	t.Cleanup(func() {
		_ = client.Close()
		_ = server.Close()
		_ = l.Close()
	})
	return client, server
}

func TestDialErrorsAreThoseOfTheRealNetwork(t *testing.T) {
	var network hookstest.Network
	gone := network.Listen("gone.example")
	require.NoError(t, gone.Close())
	ended, cancel := context.WithCancel(t.Context())
	cancel()

	tests := map[string]struct {
		ctx   context.Context
		addr  string
		check func(t *testing.T, err error)
	}{
		"unknown host": {t.Context(), "unknown.example:80", func(t *testing.T, err error) {
			var dns *net.DNSError
			require.ErrorAs(t, err, &dns)
			assert.True(t, dns.IsNotFound)
			assert.Equal(t, "unknown.example", dns.Name)
		}},
		"closed listener": {t.Context(), "gone.example:80", func(t *testing.T, err error) {
			assert.ErrorIs(t, err, syscall.ECONNREFUSED)
		}},
		"unknown address": {t.Context(), "[::1]:80", func(t *testing.T, err error) {
			assert.ErrorIs(t, err, syscall.ECONNREFUSED)
		}},
		"no port": {t.Context(), "gone.example", func(t *testing.T, err error) {
			var addr *net.AddrError
			assert.ErrorAs(t, err, &addr)
		}},
		"ended context": {ended, "gone.example:80", func(t *testing.T, err error) {
			assert.ErrorIs(t, err, context.Canceled)
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := network.Dial(tt.ctx, "tcp", tt.addr)
			var op *net.OpError
			require.ErrorAs(t, err, &op)
			assert.Equal(t, "dial", op.Op)
			tt.check(t, err)
		})
	}
}

func TestAHostThatNobodyAcceptsForSwallowsConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network hookstest.Network
		l := network.Listen("hole.example")
		defer func() { _ = l.Close() }()
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()

		start := time.Now()
		_, err := network.Dial(ctx, "tcp", "hole.example:80")
		var timeout net.Error
		require.ErrorAs(t, err, &timeout)
		assert.True(t, timeout.Timeout())
		assert.Equal(t, 15*time.Second, time.Since(start))
	})
}

func TestListen(t *testing.T) {
	var network hookstest.Network
	first := network.Listen("shop.example")
	assert.Panics(t, func() { network.Listen("SHOP.example") }, "a host has one listener at a time")

	require.NoError(t, first.Close())
	_, err := first.Accept()
	require.ErrorIs(t, err, net.ErrClosed)

	second := network.Listen("shop.example")
	defer func() { _ = second.Close() }()
	assert.Equal(t, "shop.example", second.Addr().String())
}

func TestAConnectionCarriesBytesBothWaysAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := connect(t)
		const size = 1 << 20 // more than a connection holds
		var group sync.WaitGroup
		for _, c := range []net.Conn{client, server} {
			group.Go(func() {
				n, err := io.WriteString(c, strings.Repeat("x", size))
				assert.NoError(t, err)
				assert.Equal(t, size, n)
			})
			group.Go(func() {
				n, err := io.CopyN(io.Discard, c, size)
				assert.NoError(t, err)
				assert.EqualValues(t, size, n)
			})
		}
		group.Wait()
		assert.Equal(t, client.LocalAddr(), server.RemoteAddr())
		assert.Equal(t, client.RemoteAddr(), server.LocalAddr())
		assert.Equal(t, "shop.example:443", client.RemoteAddr().String())
	})
}

func TestWhatOneEndDoesTheOtherSees(t *testing.T) {
	reset := func(t *testing.T, c net.Conn) {
		require.NoError(t, c.(interface{ SetLinger(int) error }).SetLinger(0))
		require.NoError(t, c.Close())
	}
	shut := func(t *testing.T, c net.Conn) { require.NoError(t, c.Close()) }
	tests := map[string]struct {
		leave       func(*testing.T, net.Conn)
		read, write error
	}{
		"close": {shut, io.EOF, syscall.EPIPE},
		"reset": {reset, syscall.ECONNRESET, syscall.ECONNRESET},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := connect(t)
				_, err := io.WriteString(server, "bye")
				require.NoError(t, err)
				got := make([]byte, 3)
				_, err = io.ReadFull(client, got)
				require.NoError(t, err)
				assert.Equal(t, "bye", string(got))

				errs := make(chan error) // of a read that is waiting already
				go func() {
					_, err := client.Read(got)
					errs <- err
				}()
				synctest.Wait()
				tt.leave(t, server)
				assert.ErrorIs(t, <-errs, tt.read)
				_, err = client.Write([]byte("?"))
				assert.ErrorIs(t, err, tt.write)
				_, err = server.Read(got)
				assert.ErrorIs(t, err, net.ErrClosed)
				_, err = server.Write(got)
				assert.ErrorIs(t, err, net.ErrClosed)
				assert.ErrorIs(t, server.Close(), net.ErrClosed)
				assert.ErrorIs(t, server.SetDeadline(time.Time{}), net.ErrClosed)
			})
		})
	}
}

func TestWhatWasSentBeforeTheEndIsStillRead(t *testing.T) {
	client, server := connect(t)
	_, err := io.WriteString(server, "last words")
	require.NoError(t, err)
	require.NoError(t, server.Close())
	got, err := io.ReadAll(client)
	require.NoError(t, err)
	assert.Equal(t, "last words", string(got))
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := connect(t)
		buf := make([]byte, 1<<20)
		within := func(want time.Duration, op func() error) {
			t.Helper()
			start := time.Now()
			assert.ErrorIs(t, op(), os.ErrDeadlineExceeded)
			assert.Equal(t, want, time.Since(start))
		}
		read := func() error { _, err := client.Read(buf); return err }
		write := func() error { _, err := client.Write(buf); return err }

		require.NoError(t, client.SetReadDeadline(time.Now().Add(time.Second)))
		require.NoError(t, client.SetWriteDeadline(time.Now().Add(time.Minute)))
		within(time.Second, read)
		within(0, read) // it stays in force
		within(time.Minute-time.Second, write)

		require.NoError(t, client.SetDeadline(time.Now().Add(-1)))
		within(0, read)
		within(0, write)

		// A deadline that is moved also moves for a read that waits for it.
		require.NoError(t, client.SetReadDeadline(time.Now().Add(time.Second)))
		time.AfterFunc(time.Second/2, func() {
			assert.NoError(t, client.SetReadDeadline(time.Now().Add(time.Hour)))
		})
		within(time.Hour+time.Second/2, read)

		require.NoError(t, client.SetReadDeadline(time.Time{}))
		closed := make(chan error)
		go func() { closed <- read() }()
		time.Sleep(24 * time.Hour)
		require.NoError(t, client.Close())
		assert.ErrorIs(t, <-closed, net.ErrClosed)
	})
}

func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network hookstest.Network
		r := network.Receiver(t, "shop.example")
		dials := 0
		client := &http.Client{Transport: &http.Transport{
			DialContext: func(ctx context.Context, n, addr string) (net.Conn, error) {
				dials++
				return network.Dial(ctx, n, addr)
			},
		}}
		defer client.CloseIdleConnections()
		for range 10 {
			response, err := client.Post(r.URL, "application/json", strings.NewReader("{}"))
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, response.Body)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			time.Sleep(time.Minute)
		}
		assert.Equal(t, 1, dials)
		assert.Len(t, r.Requests(), 10)
	})
}

func BenchmarkNetwork(b *testing.B) {
	var network hookstest.Network
	client := network.Receiver(b, "shop.example").Client()
	for b.Loop() {
		response, err := client.Post("http://shop.example", "application/json", strings.NewReader("{}"))
		if err := errors.Join(err, response.Body.Close()); err != nil {
			b.Fatal(err)
		}
	}
}

package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// A poster sends signed bodies in the way that the engine of hooks does: it
// calls the transport directly, with a parsed URL, headers that are canonical
// already, and a pooled HMAC. It may be used concurrently.
type poster struct {
	transport *http.Transport
	url       *url.URL
	signer    *signer
}

func newPoster(address string, connections int) (*poster, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	return &poster{newTransport(connections), u, newSigner()}, nil
}

// newTransport keeps as many connections open as requests are under way.
func newTransport(connections int) *http.Transport {
	return &http.Transport{
		MaxIdleConns: 2 * connections, MaxIdleConnsPerHost: connections,
		IdleConnTimeout: 90 * time.Second, DisableCompression: true,
	}
}

func (p *poster) post(ctx context.Context, id string, body []byte) error {
	at := strconv.FormatInt(time.Now().Unix(), 10)
	req := (&http.Request{
		Method: http.MethodPost, URL: p.url, Host: p.url.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{
			"Content-Type": {"application/json"}, "User-Agent": {"bench"},
			"Webhook-Id": {id}, "Webhook-Timestamp": {at}, "Webhook-Signature": {p.signer.sign(id, at, body)},
		},
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}).WithContext(ctx)
	res, err := p.transport.RoundTrip(req)
	if err != nil {
		return err
	}
	return finish(res)
}

// finish reads a response, so that the connection can be used again, and checks
// that it is a success.
func finish(res *http.Response) error {
	defer func() { _ = res.Body.Close() }()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the receiver responded with %s", res.Status)
	}
	return nil
}

// postWith sends a signed body as most programs do, by a client.
func postWith(ctx context.Context, client *http.Client, s *signer, address, id string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	at := strconv.FormatInt(time.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("webhook-id", id)
	req.Header.Set("webhook-timestamp", at)
	req.Header.Set("webhook-signature", s.sign(id, at, body))
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	return finish(res)
}

// A signer makes the webhook-signature header. It may be used concurrently.
type signer struct{ macs sync.Pool }

func newSigner() *signer {
	key := []byte("a key of thirty-two bytes, or so")
	return &signer{sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}
}

func (s *signer) sign(id, at string, body []byte) string {
	mac := s.macs.Get().(hash.Hash)
	defer s.macs.Put(mac)
	mac.Reset()
	var content, header [128]byte
	head := append(append(append(append(content[:0], id...), '.'), at...), '.')
	_, _ = mac.Write(head) // A hash never fails.
	_, _ = mac.Write(body)
	return string(base64.StdEncoding.AppendEncode(append(header[:0], "v1,"...), mac.Sum(content[:0])))
}

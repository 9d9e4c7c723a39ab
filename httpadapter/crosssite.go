package httpadapter

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/wire"
	"github.com/seed-2c6e3a5a/hooks/internal/escape"
)

// anyOrigin in Config.TrustedOrigins means all origins.
const anyOrigin = "*"

// A crossSite check refuses requests that a page of another site makes a browser send,
// with the cookies of its user.
type crossSite struct {
	http.CrossOriginProtection
	// anyone says that all origins may use the API with a token of theirs.
	anyone bool
}

// newCrossSite trusts the origin of the handler, if it is known, and those that are
// listed.
func newCrossSite(own string, trusted []string) (*crossSite, error) {
	c := &crossSite{anyone: slices.Contains(trusted, anyOrigin)}
	if own != "" {
		trusted = append(slices.Clone(trusted), own)
	}
	for i, text := range trusted {
		if text == anyOrigin {
			continue
		}
		origin, ok := wire.Origin(text)
		if !ok {
			return nil, &hooks.InvalidError{
				Field:  fmt.Sprintf("config.trustedOrigins[%d]", i),
				Reason: `must be "*" or a scheme and a host, such as "https://console.example.com"`,
			}
		}
		if err := c.AddTrustedOrigin(origin); err != nil {
			return nil, &hooks.InvalidError{Field: fmt.Sprintf("config.trustedOrigins[%d]", i), Reason: err.Error()}
		}
	}
	return c, nil
}

// check returns an error that wraps [ErrForbidden] for a request that must not be
// served.
func (c *crossSite) check(r *http.Request) error {
	err := c.Check(r)
	if err == nil || c.anyone && !hasCredentialsOfBrowser(r) {
		return nil
	}
	return fmt.Errorf("%w: %w (Origin: %s)", ErrForbidden, err, escape.Unprintable(r.Header.Get("Origin"), maxLogged))
}

// hasCredentialsOfBrowser reports whether a request has what a browser adds by
// itself.
func hasCredentialsOfBrowser(r *http.Request) bool {
	return r.Header["Cookie"] != nil || r.Header["Authorization"] != nil || r.TLS != nil && len(r.TLS.PeerCertificates) > 0
}

package hooks

import (
	"errors"

	"github.com/seed-2c6e3a5a/hooks/internal/egress"
)

// newPolicy returns the egress policy of a Manager. A bad AllowNetworks, AllowPorts or
// AllowHosts is an [InvalidError].
func newPolicy(cfg Config) (*egress.Policy, error) {
	p, err := egress.NewPolicy(egress.Config{
		AllowHTTP: cfg.AllowHTTP, AllowNetworks: cfg.AllowNetworks, AllowPorts: cfg.AllowPorts, AllowHosts: cfg.AllowHosts,
		Resolver: cfg.Resolver, Logger: cfg.Logger,
	})
	return p, ofPolicy("config.", err)
}

// ofPolicy returns the InvalidError of the policy as one of this package. prefix comes before
// its field.
func ofPolicy(prefix string, err error) error {
	if invalid := new(egress.InvalidError); errors.As(err, &invalid) {
		return &InvalidError{Field: prefix + invalid.Field, Reason: invalid.Reason, Hint: invalid.Hint}
	}
	return err
}

package pack

import (
	"encoding/json"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// A document has the fields of a hook that have no column of their own.
type document struct {
	Description    string            `json:"description,omitempty"`
	DisabledReason string            `json:"disabledReason,omitempty"`
	Verified       bool              `json:"verified,omitempty"`
	Events         []string          `json:"events,omitempty"`
	Filter         string            `json:"filter,omitempty"`
	URL            string            `json:"url,omitempty"`
	Method         string            `json:"method,omitempty"`
	Headers        map[string]string `json:"headers,omitempty"`
	Secrets        []secret          `json:"secrets,omitempty"`
	Schedule       []time.Duration   `json:"schedule,omitempty"` // in nanoseconds
	Timeout        time.Duration     `json:"timeout,omitempty"`  // in nanoseconds
	RateLimit      float64           `json:"rateLimit,omitempty"`
	MaxInFlight    int               `json:"maxInFlight,omitempty"`
	MaxBatch       int               `json:"maxBatch,omitempty"`
	BatchWindow    time.Duration     `json:"batchWindow,omitempty"` // in nanoseconds
	HoldDead       bool              `json:"holdDead,omitempty"`
	Metadata       map[string]string `json:"metadata,omitempty"`
	Sealed         []byte            `json:"sealed,omitempty"`
	UpdatedAt      time.Time         `json:"updatedAt"`
}

type secret struct {
	Secret    string    `json:"secret"`
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
}

// Hook returns, as JSON, the fields of a hook that have no column of their own. Those that
// have one are Tenant, ID, Name, Protocol, Disabled, Settings, Version, CreatedAt and
// Health.
func Hook(h *hooks.Hook) (string, error) {
	d := document{
		Description: h.Description, DisabledReason: h.DisabledReason, Verified: h.Verified,
		Events: h.Events, Filter: h.Filter, URL: h.URL, Method: h.Method, Headers: h.Headers,
		Schedule: h.Schedule, Timeout: h.Timeout, RateLimit: h.RateLimit, MaxInFlight: h.MaxInFlight,
		MaxBatch: h.MaxBatch, BatchWindow: h.BatchWindow, HoldDead: h.HoldDead, Metadata: h.Metadata, Sealed: h.Sealed, UpdatedAt: h.UpdatedAt,
	}
	for _, s := range h.Secrets {
		d.Secrets = append(d.Secrets, secret{string(s.Secret), s.ExpiresAt})
	}
	packed, err := json.Marshal(d)
	return string(packed), err
}

// UnpackHook sets the fields of h that Hook has packed.
func UnpackHook(packed string, h *hooks.Hook) error {
	var d document
	if err := json.Unmarshal([]byte(packed), &d); err != nil {
		return err
	}
	h.Description, h.DisabledReason, h.Verified = d.Description, d.DisabledReason, d.Verified
	h.Events, h.Filter, h.URL, h.Method, h.Headers = d.Events, d.Filter, d.URL, d.Method, d.Headers
	h.Schedule, h.Timeout, h.RateLimit, h.MaxInFlight = d.Schedule, d.Timeout, d.RateLimit, d.MaxInFlight
	h.MaxBatch, h.BatchWindow, h.HoldDead, h.Metadata = d.MaxBatch, d.BatchWindow, d.HoldDead, d.Metadata
	h.Sealed, h.UpdatedAt, h.Secrets = d.Sealed, d.UpdatedAt, nil
	for _, s := range d.Secrets {
		h.Secrets = append(h.Secrets, hooks.SigningSecret{Secret: hooks.Secret(s.Secret), ExpiresAt: s.ExpiresAt})
	}
	return nil
}

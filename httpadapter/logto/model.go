package logto

import (
	"encoding/json"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/wire"
)

// settings are what of Logto's hook has no field in [hooks.Hook].
type settings struct {
	// Event is the single event type that hooks had before they had lists.
	// Empty: null.
	Event string `json:"event,omitempty"`
	// Single says that the list is empty, so that Event alone counts. The
	// hook's Events then are Event, or the last one if there is none now.
	Single bool `json:"single,omitempty"`
	// Retries is config.retries.
	Retries *float64 `json:"retries,omitempty"`
}

func settingsOf(h hooks.Hook) (s settings, err error) {
	err = wire.Settings(h, &s, `an object of "event", a string, "single", a boolean, and "retries", a number`)
	if err != nil {
		return s, err
	}
	if s.Retries != nil && !(*s.Retries >= 0 && *s.Retries <= maxRetries) {
		return s, &hooks.InvalidError{Field: "settings.retries", Reason: "must be 0 to 3"}
	}
	return s, nil
}

// apply makes the change.
func (c change) apply(h *hooks.Hook, p *Protocol) error {
	s, err := settingsOf(*h)
	if err != nil {
		return err
	}
	if c.name != nil {
		h.Name = *c.name
	}
	if c.enable != nil {
		h.Disabled = !*c.enable
	}
	if c.event != nil {
		s.Event = *c.event
	}
	if c.events != nil {
		h.Events, s.Single = c.events, false
	}
	if len(h.Events) == 0 {
		s.Single = true
	}
	if s.Single && s.Event != "" {
		h.Events = []string{s.Event}
	}
	if c.config != nil {
		h.URL, h.Headers = c.config.URL, c.config.Headers
		// A schedule that the application has set itself stays, until retries are given.
		if c.config.Retries != nil || s.Retries != nil {
			h.Schedule = p.scheduleOf(c.config.Retries)
		}
		s.Retries = c.config.Retries
	}
	h.Settings, err = json.Marshal(s)
	return err
}

// A hookView is a hook as the API shows it.
type hookView struct {
	TenantID       string     `json:"tenantId"`
	ID             string     `json:"id"`
	Name           string     `json:"name"`
	Event          *string    `json:"event"`
	Events         []string   `json:"events"`
	Config         config     `json:"config"`
	SigningKey     string     `json:"signingKey"`
	Enabled        bool       `json:"enabled"`
	CreatedAt      int64      `json:"createdAt"`
	ExecutionStats *statsView `json:"executionStats,omitempty"`
}

type statsView struct {
	SuccessCount int `json:"successCount"`
	RequestCount int `json:"requestCount"`
}

func viewOf(h hooks.Hook) (hookView, error) {
	s, err := settingsOf(h)
	if err != nil {
		return hookView{}, err
	}
	v := hookView{
		TenantID: h.Tenant, ID: h.ID, Name: h.Name, Events: h.Events, Enabled: !h.Disabled, CreatedAt: h.CreatedAt.UnixMilli(),
		Config: config{URL: h.URL, Headers: h.Headers, Retries: s.Retries},
	}
	if s.Event != "" {
		v.Event = &s.Event
	}
	if s.Single {
		v.Events = []string{}
	}
	if len(h.Secrets) > 0 {
		v.SigningKey = string(h.Secrets[0].Secret)
	}
	return v, nil
}

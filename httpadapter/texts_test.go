package httpadapter_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/apitest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/logto"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/okta"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/webitel"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

// A refusing store refuses hooks as a policy of the application does.
type refusing struct {
	hooks.Store
	field string
}

func (s refusing) CreateHook(context.Context, hooks.Hook, int) error {
	return &hooks.InvalidError{Field: s.field, Reason: "must be as the policy says", Hint: "Config.AllowEverything can allow it"}
}

// Those who use an API get the rule in the names of their system; what the application could
// change, its log has.
func TestHintsAreForTheApplication(t *testing.T) {
	for field, want := range map[string]map[string]string{
		"url": {
			logto.Name:   "The endpoint is not allowed: config.url must be as the policy says.",
			okta.Name:    "channel.config.uri: must be as the policy says",
			webitel.Name: "Bad request: action.url must be as the policy says",
		},
		`headers["A"]`: {
			logto.Name:   `Invalid input. config.headers[\"A\"]: must be as the policy says.`,
			okta.Name:    `channel.config.headers[\"A\"]: must be as the policy says`,
			webitel.Name: `Bad request: headers[\"A\"] must be as the policy says`,
		},
	} {
		m, err := hooks.New(refusing{memory.New(memory.Options{}), field}, hooks.Config{
			Protocols: []hooks.Protocol{&logto.Protocol{}, &okta.Protocol{}, &webitel.Protocol{}},
		})
		require.NoError(t, err)
		var log bytes.Buffer
		cfg := httpadapter.Config{Authenticate: httpadapter.Open("acme"), Logger: slog.New(slog.NewTextHandler(&log, nil))}
		logtoAPI, err := logto.New(m, cfg)
		require.NoError(t, err)
		oktaAPI, err := okta.New(m, okta.Config{Config: cfg})
		require.NoError(t, err)
		webitelAPI, err := webitel.New(m, webitel.Config{Config: cfg})
		require.NoError(t, err)
		for name, api := range map[string]http.Handler{logto.Name: logtoAPI, okta.Name: oktaAPI, webitel.Name: webitelAPI} {
			log.Reset()
			a := apitest.NewRequest("POST "+systems[name].path, systems[name].body("x", "https://example.com")).To(api)
			assert.Contains(t, a.Body, want[name], name)
			assert.NotContains(t, a.Body, "Config", name)
			assert.Contains(t, log.String(), "Config.AllowEverything", name)
		}
	}
}

// An error of Authenticate is one of who asks, whatever is in it.
func TestAuthenticateFailsWith401(t *testing.T) {
	for _, err := range []error{&hooks.InvalidError{Field: "token", Reason: "must be signed"}, hooks.ErrNotFound, errors.New("no"), fmt.Errorf("x: %w", hooks.ErrBusy)} {
		for name, api := range apis(t, httpadapter.Config{Logger: quiet, Authenticate: func(*http.Request) (httpadapter.Identity, error) {
			return httpadapter.Identity{}, err
		}}) {
			a := apitest.NewRequest("GET "+systems[name].path, "").To(api)
			assert.Equal(t, 401, a.Status, name)
			assert.NotContains(t, a.Body, "signed", name)
		}
	}
}

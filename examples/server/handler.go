package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"log/slog"
	"net/http"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/logto"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/okta"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/webitel"
)

const defaultTenant = "default"

// newHandler mounts the APIs beside the application's own paths.
func newHandler(m *hooks.Manager, token string) (http.Handler, error) {
	who := owner(token, defaultTenant, httpadapter.Token)
	logtoAPI, err := logto.New(m, httpadapter.Config{Authenticate: who})
	if err != nil {
		return nil, err
	}
	oktaAPI, err := okta.New(m, okta.Config{Config: httpadapter.Config{Authenticate: who}})
	if err != nil {
		return nil, err
	}
	webitelAPI, err := webitel.New(m, webitel.Config{Config: httpadapter.Config{Authenticate: root(owner(token, "", webitel.Token))}})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	for _, api := range []http.Handler{logtoAPI, oktaAPI, webitelAPI} {
		httpadapter.Mount(mux, api)
	}
	mux.Handle("/trigger", allow(http.MethodPost, trigger(m, who)))
	mux.Handle("/healthz", allow(http.MethodGet, health(m)))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		respond(w, http.StatusNotFound, failure{Error: "not found"})
	})
	return mux, nil
}

// owner lets in who shows the token, with all rights in the tenant. shown returns the
// token of a request, which differs between the systems in where clients put it.
func owner(token, tenant string, shown func(*http.Request) string) httpadapter.Authenticate {
	want := sha256.Sum256([]byte(token))
	return func(r *http.Request) (httpadapter.Identity, error) {
		got := sha256.Sum256([]byte(shown(r)))
		if subtle.ConstantTimeCompare(got[:], want[:]) == 0 {
			return httpadapter.Identity{}, httpadapter.ErrUnauthenticated
		}
		return httpadapter.Identity{Tenant: tenant, Actor: "owner", Read: true, Write: true}, nil
	}
}

// root is a caller who names the tenant with each request.
func root(authenticate httpadapter.Authenticate) httpadapter.Authenticate {
	return func(r *http.Request) (httpadapter.Identity, error) {
		who, err := authenticate(r)
		who.Root = true
		return who, err
	}
}

// allow refuses other methods.
func allow(method string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == method || method == http.MethodGet && r.Method == http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Allow", method)
		respond(w, http.StatusMethodNotAllowed, failure{Error: "method not allowed"})
	})
}

func health(m *hooks.Manager) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := m.Hooks(r.Context(), hooks.HookQuery{PageQuery: hooks.PageQuery{Limit: 1}}); err != nil {
			slog.Error("the store cannot be read", "error", err)
			respond(w, http.StatusServiceUnavailable, failure{Error: "the store cannot be read"})
			return
		}
		respond(w, http.StatusOK, map[string]string{"status": "ok"})
	})
}

// A failure is an error as clients see it.
type failure struct {
	Error string `json:"error"`
	// Field is what of the input is wrong.
	Field string `json:"field,omitempty"`
}

func respond(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		slog.Info("a response was not read", "error", err)
	}
}

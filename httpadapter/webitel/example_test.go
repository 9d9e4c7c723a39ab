package webitel_test

import (
	"context"
	"crypto/subtle"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/webitel"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

// An application that serves the API to those who have a token where Webitel's clients put
// it. This one is for all domains: the request names one.
func ExampleNew() {
	m, err := hooks.New(memory.New(memory.Options{}), hooks.Config{Protocols: []hooks.Protocol{&webitel.Protocol{}}})
	if err != nil {
		log.Fatal(err)
	}
	api, err := webitel.New(m, webitel.Config{
		Config: httpadapter.Config{
			Authenticate: func(r *http.Request) (httpadapter.Identity, error) {
				if subtle.ConstantTimeCompare([]byte(webitel.Token(r)), []byte("a long secret")) == 0 {
					return httpadapter.Identity{}, httpadapter.ErrUnauthenticated
				}
				return httpadapter.Identity{Root: true, Actor: "root", Read: true, Write: true}, nil
			},
			Logger: slog.New(slog.DiscardHandler),
		},
		Origins: []string{"https://pbx.example.com"},
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	httpadapter.Mount(mux, api)

	for _, ask := range []struct{ target, token string }{
		{"/api/v2/hooks/?domain=acme.example", "a guess"},
		{"/api/v2/hooks/", "a long secret"},
		{"/api/v2/hooks/?domain=acme.example", "a long secret"},
	} {
		r := httptest.NewRequest(http.MethodGet, ask.target, nil)
		r.Header.Set("X-Access-Token", ask.token)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Body)
	}
	// Output:
	// 401 {"status":"error","info":"Invalid token"}
	// 400 {"status":"error","info":"Bad request: domain is required."}
	// 200 {"status":"OK","data":[]}
}

// An event object of FreeSWITCH becomes an event.
func ExampleEvent() {
	e, err := webitel.Event(map[string]any{
		"Event-Name":          "CUSTOM",
		"Event-Subclass":      "engine::callback_member_add",
		"Channel-Presence-ID": "200@acme.example",
		"number":              "380441234567",
	})
	fmt.Println(e.Type, e.Tenant, err)
	fmt.Println(string(e.Data))

	_, err = webitel.Event(map[string]any{"Event-Name": "HEARTBEAT"})
	fmt.Println(err)
	// Output:
	// CUSTOM->engine::callback_member_add acme.example <nil>
	// {"Channel-Presence-ID":"200@acme.example","Event-Name":"CUSTOM","Event-Subclass":"engine::callback_member_add","number":"380441234567"}
	// invalid variable_domain_name: must name the domain, because no other member does
}

// A hook that logs in, and sends a body of its own.
func ExampleProtocol() {
	mux := http.NewServeMux()
	mux.HandleFunc("/login", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `{"token":"t1"}`)
	})
	mux.HandleFunc("/calls", func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Println(r.Method, r.Header.Get("Authorization"), string(body))
	})
	crm := httptest.NewServer(mux)

	m, err := hooks.New(memory.New(memory.Options{}), hooks.Config{
		Protocols: []hooks.Protocol{&webitel.Protocol{}}, AllowHTTP: true, AllowNetworks: []string{"127.0.0.1"},
	})
	if err != nil {
		log.Fatal(err)
	}
	attempts, err := m.Test(context.Background(), hooks.Hook{
		Protocol: webitel.Name, Method: "PUT", URL: crm.URL + "/calls", Events: []string{"CHANNEL_HANGUP"},
		Headers: map[string]string{"Authorization": "Bearer ${auth:body:token}"},
		Settings: []byte(`{
			"customBody": true, "rawBody": "{\"call\": \"${Unique-ID}\", \"caller\": \"${caller}\"}",
			"auth": {"enabled": true, "method": "POST", "url": "` + crm.URL + `/login"}
		}`),
	}, hooks.Event{Type: "CHANNEL_HANGUP", Data: []byte(`{"Unique-ID": "c1", "variable_caller": "Ada \"Lovelace\""}`)})
	if err != nil {
		log.Fatal(err)
	}
	crm.Close()
	fmt.Println(attempts[0].State)
	// Output:
	// PUT Bearer t1 {"call":"c1","caller":"Ada \"Lovelace\""}
	// succeeded
}

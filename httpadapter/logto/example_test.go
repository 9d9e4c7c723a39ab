package logto_test

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/go-chi/chi/v5"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/logto"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

// In a mux of net/http, beside what the application serves itself.
func ExampleNew() {
	m, err := hooks.New(memory.New(memory.Options{}), hooks.Config{
		Protocols: []hooks.Protocol{&logto.Protocol{}},
	})
	if err != nil {
		log.Fatal(err)
	}
	api, err := logto.New(m, httpadapter.Config{
		Authenticate: func(r *http.Request) (httpadapter.Identity, error) {
			if subtle.ConstantTimeCompare([]byte(httpadapter.Token(r)), []byte("a long secret")) == 0 {
				return httpadapter.Identity{}, httpadapter.ErrUnauthenticated
			}
			return httpadapter.Identity{Tenant: "default", Actor: "console", Read: true, Write: true}, nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", yourPages)
	httpadapter.Mount(mux, api)

	host := httptest.NewServer(mux)
	defer host.Close()
	show(host.URL+"/api/hooks", "")
	show(host.URL+"/api/hooks", "a long secret")
	// Output:
	// 401 {"code":"auth.authorization_header_missing","message":"The Authorization header is missing."}
	// 200 []
}

// Behind a prefix, in a router of chi. Links in the responses have the prefix.
func ExampleNew_chi() {
	m, err := hooks.New(memory.New(memory.Options{}), hooks.Config{
		Protocols: []hooks.Protocol{&logto.Protocol{}},
	})
	if err != nil {
		log.Fatal(err)
	}
	api, err := logto.New(m, httpadapter.Config{
		Authenticate: httpadapter.Open("default"),
		Origin:       "https://shop.example",
		Logger:       slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	router := chi.NewRouter()
	router.Get("/", yourPages)
	router.Mount("/logto", http.StripPrefix("/logto", api))

	host := httptest.NewServer(router)
	defer host.Close()
	show(host.URL+"/logto/api/hooks?page=1", "")
	// Output:
	// 200 []
	// <https://shop.example/logto/api/hooks?page=1>; rel="first"
	// <https://shop.example/logto/api/hooks?page=1>; rel="last"
}

func yourPages(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "welcome") }

// show prints what a GET brings.
func show(url, token string) {
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		log.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		log.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.StatusCode, string(body))
	for _, link := range res.Header.Values("Link") {
		fmt.Println(link)
	}
}

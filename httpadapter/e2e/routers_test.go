package e2e_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/logto"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

// routers are those of docs/rest-apis.md with the lines that it has for them, beside pages of
// the application.
var routers = map[string]func(api http.Handler) (router http.Handler, prefix string){
	"net/http": func(api http.Handler) (http.Handler, string) {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /", pages)
		httpadapter.Mount(mux, api)
		return mux, ""
	},
	"net/http below a prefix": func(api http.Handler) (http.Handler, string) {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /", pages)
		httpadapter.MountAt(mux, "/logto", api)
		return mux, "/logto"
	},
	"chi": func(api http.Handler) (http.Handler, string) {
		router := chi.NewRouter()
		router.Get("/", pages)
		router.Handle("/api/hooks", api)
		router.Handle("/api/hooks/*", api)
		return router, ""
	},
	"chi below a prefix": func(api http.Handler) (http.Handler, string) {
		router := chi.NewRouter()
		router.Get("/", pages)
		router.Mount("/logto", http.StripPrefix("/logto", api))
		return router, "/logto"
	},
	"gin": func(api http.Handler) (http.Handler, string) {
		gin.SetMode(gin.ReleaseMode)
		router := gin.New()
		router.GET("/", gin.WrapF(pages))
		router.Any("/api/hooks", gin.WrapH(api))
		router.Any("/api/hooks/*path", gin.WrapH(api))
		return router, ""
	},
	"echo": func(api http.Handler) (http.Handler, string) {
		router := echo.New()
		router.GET("/", echo.WrapHandler(http.HandlerFunc(pages)))
		router.Any("/api/hooks", echo.WrapHandler(api))
		router.Any("/api/hooks/*", echo.WrapHandler(api))
		return router, ""
	},
}

func pages(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("the application")) }

// What docs/rest-apis.md says about routers is what these tests do.
func TestReadmeShowsTestedLines(t *testing.T) {
	page, err := os.ReadFile("../../docs/rest-apis.md")
	require.NoError(t, err)
	source, err := os.ReadFile("routers_test.go")
	require.NoError(t, err)
	lines := regexp.MustCompile("`((?:router|httpadapter)\\.[^`]*api\\)+)`").FindAllSubmatch(page, -1)
	require.Len(t, lines, 8)
	for _, line := range lines {
		assert.Contains(t, string(source), "\t\t"+string(line[1])+"\n")
	}
}

func TestRoutersServeTheWholeAPI(t *testing.T) {
	for name, mount := range routers {
		t.Run(name, func(t *testing.T) {
			m, err := hooks.New(memory.New(memory.Options{}), hooks.Config{
				Protocols: []hooks.Protocol{&logto.Protocol{}}, Logger: slog.New(slog.DiscardHandler),
			})
			require.NoError(t, err)
			_, err = m.Register(t.Context(), hooks.Hook{ID: "a-hook", Tenant: "default", Protocol: logto.Name, Events: []string{logto.UserCreated}, URL: "https://example.com"})
			require.NoError(t, err)
			api, err := logto.New(m, httpadapter.Config{Authenticate: httpadapter.Open("default"), Logger: slog.New(slog.DiscardHandler)})
			require.NoError(t, err)
			router, prefix := mount(api)
			ask := func(method, path, body string) *httptest.ResponseRecorder {
				r := httptest.NewRequest(method, path, strings.NewReader(body))
				r.Header.Set("Content-Type", "application/json")
				w := httptest.NewRecorder()
				router.ServeHTTP(w, r)
				return w
			}
			const hook = `{"events":["User.Created"],"config":{"url":"https://example.com"}}`
			for line, want := range map[string]int{
				"GET /api/hooks": 200, "GET /api/hooks/": 200, "HEAD /api/hooks": 200, "POST /api/hooks": 201, "POST /api/hooks/": 201,
				"GET /api/hooks/a-hook": 200, "GET /api/hooks/a-hook/": 200, "PATCH /api/hooks/a-hook": 200,
				"PATCH /api/hooks/a-hook/signing-key": 200, "GET /api/hooks/a-hook/recent-logs": 200, "GET /api/hooks/a-hook/Recent-Logs/": 200,
				"GET /api/hooks/a%2Fb": 404, "GET /api/hooks/a/b/c": 404, "PUT /api/hooks": 405, "DELETE /api/hooks": 405, "POST /api/hooks/a-hook": 405,
				"OPTIONS /api/hooks": 200,
			} {
				method, path, _ := strings.Cut(line, " ")
				w := ask(method, prefix+path, hook)
				assert.Equal(t, want, w.Code, line)
				if want >= 400 {
					assert.Contains(t, w.Body.String(), `"message"`, line)
				}
			}
			assert.Equal(t, `<http://example.com`+prefix+`/api/hooks?page=1>; rel="first"`, ask("GET", prefix+"/api/hooks?page=1", "").Header().Get("Link"))
			assert.Equal(t, 204, ask("DELETE", prefix+"/api/hooks/a-hook", "").Code)
			assert.Equal(t, "the application", ask("GET", "/", "").Body.String())
		})
	}
}

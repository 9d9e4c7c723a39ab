package hooks_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

// verbs are those of package fmt, and flags that change what they print, but for %p,
// which is for pointers and asks no method.
var verbs = []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%U", "%c", "%b", "%o", "%e", "%f", "%g", "%+q", "%#q", "%#x", "% x", "%020v", "%-9.3s", "%!", "%z"}

// printed is the value in every form that fmt, log/slog and encoding/json give it.
func printed(t *testing.T, v any) (all []string) {
	t.Helper()
	for _, verb := range verbs {
		all = append(all, verb+": "+fmt.Sprintf(verb, v))
	}
	all = append(all, fmt.Sprint(v), fmt.Sprintln("x", v), fmt.Errorf("e: %v", v).Error())
	var text, jsonText bytes.Buffer
	for _, l := range []*slog.Logger{slog.New(slog.NewTextHandler(&text, nil)), slog.New(slog.NewJSONHandler(&jsonText, nil))} {
		l.Info("m", "v", v)
		l.Info("m", slog.Group("g", "v", v))
		l.With("v", v).Info("m")
	}
	all = append(all, text.String(), jsonText.String())
	if data, err := json.Marshal(v); err == nil {
		all = append(all, string(data))
	}
	if data, err := json.MarshalIndent(map[string]any{"v": v}, "", " "); err == nil {
		all = append(all, string(data))
	}
	return all
}

func TestWhatIsPrintedTellsNoSecret(t *testing.T) {
	const secret = "s3cr3t"
	hook := hooks.Hook{
		ID: "a", Tenant: "acme", URL: "https://me:s3cr3t@example.com/in?token=s3cr3t#s3cr3t", Events: []string{"*"},
		Headers: map[string]string{"Authorization": secret}, Settings: json.RawMessage(`{"k":"s3cr3t"}`),
		Secrets: []hooks.SigningSecret{{Secret: secret}},
	}
	u, err := url.Parse(hook.URL)
	require.NoError(t, err)
	request := hooks.Request{Method: "PUT", URL: u, Header: http.Header{"Authorization": {secret}}, Body: []byte(secret)}
	config := hooks.Config{Keys: []hooks.Key{{ID: "k1", Secret: bytes.Repeat([]byte(secret), 6)[:32]}}}
	manager, err := hooks.New(memory.New(memory.Options{}), config)
	require.NoError(t, err)
	type nested struct {
		Hook     hooks.Hook
		Pointer  *hooks.Hook
		Request  hooks.Request
		Requests map[string]hooks.Request
		Any      any
	}
	for name, v := range map[string]any{
		"Hook": hook, "pointer to Hook": &hook, "Hooks": []hooks.Hook{hook}, "pointers": []*hooks.Hook{&hook}, "map": map[string]hooks.Hook{"h": hook}, "array": [1]hooks.Hook{hook},
		"Page":    hooks.Page[hooks.Hook]{Items: []hooks.Hook{hook}},
		"Change":  hooks.HookChange{Revision: 1, Hook: hook},
		"Changes": []hooks.HookChange{{Hook: hook}},
		"Secret":  hook.Secrets[0], "Secrets": hook.Secrets, "pointer to Secret": &hook.Secrets[0],
		"Request": request, "pointer to Request": &request, "Requests": []hooks.Request{request},
		"nested": nested{hook, &hook, request, map[string]hooks.Request{"r": request}, hook},
		"Key":    config.Keys[0], "Keys": config.Keys, "pointer to Key": &config.Keys[0], "Config": config, "Manager": manager,
	} {
		t.Run(name, func(t *testing.T) {
			for _, text := range printed(t, v) {
				assert.NotContains(t, text, secret)
				assert.NotContains(t, text, fmt.Sprintf("%x", secret))
				assert.NotContains(t, text, fmt.Sprintf("%X", secret))
				assert.NotContains(t, text, strings.Trim(fmt.Sprint([]byte(secret)), "[]"))
				assert.NotContains(t, text, strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", []byte(secret)), "[]byte{"), "}"))
				assert.NotContains(t, text, "czNjcjN0", "base64")
			}
		})
	}
	for _, v := range []any{hook, &hook, []hooks.Hook{hook}} {
		for _, text := range []string{fmt.Sprint(v), fmt.Sprintf("%+v", v), fmt.Sprintf("%#v", []any{v}), fmt.Sprintf("%s", v)} {
			assert.Contains(t, text+fmt.Sprint(hook), `hook "a" of tenant "acme" to https://example.com/in`)
		}
	}
	assert.Equal(t, "PUT https://example.com/in with 6 bytes", fmt.Sprint(request))
	assert.Equal(t, "POST no URL with 0 bytes", fmt.Sprintf("%#v", hooks.Request{}))
}

func TestTheJSONOfAHook(t *testing.T) {
	h := hooks.Hook{
		ID: "a", Tenant: "acme", Name: "shop", URL: "https://me:pw@example.com/in?token=1", Events: []string{"order.*"}, Filter: "data.total > 1",
		Headers: map[string]string{"Authorization": "Bearer x"}, Settings: json.RawMessage(`{"a":1}`), Secrets: []hooks.SigningSecret{{Secret: "whsec_x"}},
		Schedule: []time.Duration{time.Second}, Metadata: map[string]string{"team": "blue"}, Version: 3,
	}
	before := fmt.Sprint(h.URL, h.Headers, string(h.Settings), string(h.Secrets[0].Secret))
	text, err := json.Marshal(hooks.Page[hooks.Hook]{Items: []hooks.Hook{h}})
	require.NoError(t, err)
	assert.Equal(t, before, fmt.Sprint(h.URL, h.Headers, string(h.Settings), string(h.Secrets[0].Secret)), "the hook itself is as it was")
	var got struct{ Items []map[string]any }
	require.NoError(t, json.Unmarshal(text, &got))
	shown := got.Items[0]
	for field, want := range map[string]any{
		"ID": "a", "Tenant": "acme", "Name": "shop", "URL": "https://example.com/in", "Events": []any{"order.*"}, "Filter": "data.total > 1",
		"Headers": map[string]any{"Authorization": "[redacted]"}, "Settings": "[redacted]", "Metadata": map[string]any{"team": "blue"},
		"Secrets": []any{map[string]any{"Secret": "[redacted]", "ExpiresAt": "0001-01-01T00:00:00Z"}}, "Schedule": []any{1e9}, "Version": 3.0,
	} {
		assert.Equal(t, want, shown[field], field)
	}
	empty, err := json.Marshal(hooks.Hook{})
	require.NoError(t, err)
	assert.Contains(t, string(empty), `"Headers":null`)
	assert.Contains(t, string(empty), `"Settings":null`)
}

// URLs that are none may be stored, by protocols that take any.
func TestPrintedURLs(t *testing.T) {
	for raw, want := range map[string]string{
		"": "no URL", "https://example.com": "https://example.com", "https://example.com/a@b?c#d": "https://example.com/a@b",
		"example.com/x?pw": "example.com/x", "user:pw@example.com/x": "user:[redacted]", "https:user:pw@example.com": "https:[redacted]",
		"mailto:pw@example.com": "mailto:[redacted]", "https:/user:pw@example.com": "https:[redacted]", "https:///user:pw@example.com?pw": "https:[redacted]",
		"://pw": "[redacted]", "https://pw%zz@x": "[redacted]", "https://a b/?pw": "[redacted]", "1:pw@x": "[redacted]",
	} {
		assert.Equal(t, `hook "" of tenant "" to `+want, hooks.Hook{URL: raw}.String(), raw)
	}
}

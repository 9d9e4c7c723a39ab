package e2e_test

import (
	"bufio"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

// startReceiver runs the receiver of docs/receiving.md with this secret, and returns its
// address.
func startReceiver(t *testing.T, secret hooks.Secret) string {
	t.Helper()
	receiver := exec.Command("node", "receiver.js")
	receiver.Env = append(os.Environ(), "WEBHOOK_SECRET="+string(secret))
	receiver.Stderr = t.Output()
	stdout, err := receiver.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, receiver.Start())
	t.Cleanup(func() {
		assert.NoError(t, receiver.Process.Kill())
		_ = receiver.Wait() // which says that it was killed
	})
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if address, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			return address
		}
	}
	require.FailNow(t, "the receiver does not listen")
	return ""
}

// The receiver in JavaScript that docs/receiving.md shows takes what is signed with its
// secret, and nothing else.
func TestTheReceiverOfTheDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/receiving.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```js\n(.*?)```").FindAllSubmatch(page, -1)
	require.NotEmpty(t, blocks)
	source, err := os.ReadFile("receiver.js")
	require.NoError(t, err)
	for _, block := range blocks {
		require.Contains(t, string(source), string(block[1]))
	}

	secret := hooks.NewSecret()
	private, _ := hooks.NewKeyPair()
	url := startReceiver(t, secret) + "/webhooks"
	m, err := hooks.New(memory.New(memory.Options{}), hooks.Config{AllowHTTP: true, AllowNetworks: []string{"127.0.0.1"}})
	require.NoError(t, err)
	// What JavaScript would write in another way.
	const data = `{ "total": 1.50, "big": 12345678901234567890, "html": "\u003ca\/\u003e", "2": "é", "1": 1e2 }`
	tests := map[string]struct {
		secrets []hooks.Secret
		data    string
		status  int
	}{
		"symmetric":                   {[]hooks.Secret{secret}, data, 204},
		"while the secret is rotated": {[]hooks.Secret{hooks.NewSecret(), secret}, data, 204},
		"symmetric and ed25519":       {[]hooks.Secret{private, secret}, data, 204},
		"256 KiB":                     {[]hooks.Secret{secret}, `"` + strings.Repeat("x", 256<<10-2) + `"`, 204},
		"ed25519 alone":               {[]hooks.Secret{private}, data, 401},
		"another secret":              {[]hooks.Secret{hooks.NewSecret()}, data, 401},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			hook := hooks.Hook{URL: url, Events: []string{"*"}}
			for _, s := range tt.secrets {
				hook.Secrets = append(hook.Secrets, hooks.SigningSecret{Secret: s})
			}
			attempts, err := m.Test(t.Context(), hook, hooks.Event{Type: "order.paid", Data: []byte(tt.data)})
			require.NoError(t, err)
			assert.Equal(t, tt.status, attempts[0].Response.Status, "%s %s", attempts[0].Error, attempts[0].Response.Body)
		})
	}
}

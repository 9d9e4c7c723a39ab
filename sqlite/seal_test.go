//go:build cgo

package sqlite_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/receive"
)

func withKeys(keys ...hooks.Key) func(*hooks.Config) {
	return func(c *hooks.Config) { c.Keys = keys }
}

// secrets of a hook, none of which may be found in a file.
const (
	firstSecret  = hooks.Secret("whsec_Zmlyc3Qtc2VjcmV0LWZpcnN0LXNlY3JldA==")
	secondSecret = hooks.Secret("whsec_c2Vjb25kLXNlY3JldC1zZWNvbmQtc2VjcmV0")
	firstHeader  = "Bearer first-header-value"
	secondHeader = "Bearer second-header-value"
)

// findSecrets returns what of the secrets is in the files of the database, in clear
// or in an encoding. Like secretsIn, it has another process read them.
func findSecrets(t *testing.T, path string) (found []string) {
	t.Helper()
	files, err := filepath.Glob(path + "*")
	require.NoError(t, err)
	for _, file := range files {
		content, err := exec.CommandContext(t.Context(), "cat", file).Output()
		require.NoError(t, err)
		for _, secret := range []string{string(firstSecret), string(secondSecret), firstHeader, secondHeader} {
			for form, text := range map[string]string{
				"in clear": secret, "base64": base64.StdEncoding.EncodeToString([]byte(secret)), "hex": hex.EncodeToString([]byte(secret)),
			} {
				if bytes.Contains(bytes.ToLower(content), bytes.ToLower([]byte(text))) {
					found = append(found, filepath.Ext(file)+": "+secret+" "+form)
				}
			}
		}
	}
	return found
}

func TestWithKeysTheFileHoldsNoSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openHarness(t, withKeys(hooks.Key{ID: "1", Secret: make([]byte, 32)}))
		path := pathOf(t, h.store)
		r, hook := h.endpoint(hooks.Hook{
			Secrets: []hooks.SigningSecret{{Secret: firstSecret}}, Headers: map[string]string{"Authorization": firstHeader},
		})
		h.trigger(paid("e1"))
		assert.Equal(t, firstHeader, r.Next().Header.Get("Authorization"))
		_, err := h.Update(t.Context(), "", hook.ID, func(hook *hooks.Hook) error {
			hook.Headers["Authorization"] = secondHeader
			return nil
		})
		require.NoError(t, err)
		_, err = h.RotateSecret(t.Context(), "", hook.ID, hooks.Rotation{Secret: secondSecret})
		require.NoError(t, err)
		h.trigger(paid("e2"))
		got := r.Next()
		assert.Equal(t, secondHeader, got.Header.Get("Authorization"))
		verifier, err := receive.NewVerifier(string(secondSecret))
		require.NoError(t, err)
		require.NoError(t, verifier.Verify(got.Header, got.Body))
		synctest.Wait()
		assert.Empty(t, findSecrets(t, path), "while it is open")
		h.stop()
		require.NoError(t, h.store.Close())
		assert.Empty(t, findSecrets(t, path))
	})
}

// Keys that come later: what was stored in clear is gone from the file once it is
// closed.
func TestWithNewKeysTheFileForgetsTheSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openHarness(t)
		path := pathOf(t, h.store)
		_, hook := h.endpoint(hooks.Hook{
			Secrets: []hooks.SigningSecret{{Secret: firstSecret}}, Headers: map[string]string{"Authorization": firstHeader},
		})
		require.NotEmpty(t, findSecrets(t, path), "or the test finds nothing")
		h = h.restart(withKeys(hooks.Key{ID: "1", Secret: make([]byte, 32)}))
		time.Sleep(3 * time.Minute)
		got, err := h.Hook(t.Context(), "", hook.ID)
		require.NoError(t, err)
		assert.Equal(t, hook.Secrets, got.Secrets)
		h.stop()
		require.NoError(t, h.store.Close())
		assert.Empty(t, findSecrets(t, path))
	})
}

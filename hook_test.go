package hooks_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-2c6e3a5a/hooks"
)

func TestCloneSharesNothing(t *testing.T) {
	whole := func() hooks.Hook {
		return hooks.Hook{
			ID: "a", Events: []string{"x"}, Headers: map[string]string{"A": "b"}, Secrets: []hooks.SigningSecret{{Secret: "s"}},
			Schedule: []time.Duration{1}, Settings: []byte("{}"), Metadata: map[string]string{"m": "n"}, Sealed: []byte("s"),
		}
	}
	original := whole()
	clone := original.Clone()
	assert.Equal(t, original, clone)
	fields := reflect.ValueOf(clone)
	for i := range fields.NumField() {
		name := fields.Type().Field(i).Name
		switch f := fields.Field(i); f.Kind() {
		case reflect.Slice:
			assert.NotZero(t, f.Len(), name)
			f.Index(0).SetZero()
		case reflect.Map:
			assert.NotZero(t, f.Len(), name)
			f.Clear()
		case reflect.Pointer, reflect.Interface, reflect.Func, reflect.Chan:
			assert.Fail(t, "Clone copies it as it is", name)
		}
	}
	assert.Equal(t, whole(), original)
	assert.NotEqual(t, original, clone)
}

func TestCurrentSecret(t *testing.T) {
	now := time.Now()
	expired := hooks.SigningSecret{Secret: "expired", ExpiresAt: now}
	expires := hooks.SigningSecret{Secret: "expires", ExpiresAt: now.Add(1)}
	forever := hooks.SigningSecret{Secret: "forever"}
	for _, tt := range []struct {
		secrets []hooks.SigningSecret
		want    hooks.Secret
	}{
		{nil, ""},
		{[]hooks.SigningSecret{expired}, ""},
		{[]hooks.SigningSecret{expired, expires, forever}, "expires"},
		{[]hooks.SigningSecret{forever, expires}, "forever"},
	} {
		secret, ok := hooks.Hook{Secrets: tt.secrets}.CurrentSecret(now)
		assert.Equal(t, string(tt.want), string(secret))
		assert.Equal(t, tt.want != "", ok)
	}
}

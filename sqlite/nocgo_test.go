//go:build !cgo

package sqlite_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

func TestWhatNeedsCgoSaysSo(t *testing.T) {
	const want = "sqlite needs cgo: CGO_ENABLED=1 and a C compiler"
	s, err := sqlite.Open(t.Context(), "hooks.db", sqlite.Options{})
	assert.EqualError(t, err, want)
	assert.Nil(t, s)
	_, err = sqlite.New(t.Context(), nil, sqlite.Options{})
	assert.EqualError(t, err, want)
	_, err = sqlite.OpenDB(t.Context(), "hooks.db")
	assert.EqualError(t, err, want)
	assert.EqualError(t, sqlite.Migrate(t.Context(), nil), want)
	assert.NoFileExists(t, "hooks.db")
	var _ hooks.Store = s
}

package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// The program checks itself.
func TestOutbox(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { require.NoError(t, outbox("")) })
	t.Run("PostgreSQL", func(t *testing.T) { require.NoError(t, outbox(pgtest.New(t).URL())) })
}

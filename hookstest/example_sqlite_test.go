//go:build cgo

package hookstest_test

import (
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

func TestARefundInADatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "shop.db")
		store, err := sqlite.Open(t.Context(), path, sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() }) // when the harness has stopped
		db, err := sqlite.OpenDB(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		harness := hookstest.Over(t, store)
		partner := harness.Endpoint("order.refunded")
		partner.Respond(hookstest.Status(503), hookstest.Status(503), hookstest.Status(200))

		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(refund(t.Context(), harness.Manager, store.Tx(tx), "42"), tx.Commit()); err != nil {
			t.Fatal(err)
		}
		harness.Manager.Wake()
		if got := partner.Settle(); len(got) != 1 || got[0].State != hooks.Succeeded || got[0].Attempts != 3 {
			t.Errorf("got %+v", got)
		}
	})
}

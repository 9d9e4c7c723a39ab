//go:build cgo

package hookstest_test

import (
	"database/sql"
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
		t.Cleanup(func() { _ = store.Close() }) // when the rig has stopped
		db, err := sql.Open("sqlite3", "file:"+path+"?_txlock=immediate&_busy_timeout=5000")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		rig := hookstest.Over(t, store)
		partner := rig.Endpoint("order.refunded")
		partner.Answer(hookstest.Status(503), hookstest.Status(503), hookstest.Status(200))

		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(refund(t.Context(), rig.Manager, sqlite.Tx(tx), "42"), tx.Commit()); err != nil {
			t.Fatal(err)
		}
		rig.Manager.Wake()
		if got := partner.Settle(); len(got) != 1 || got[0].State != hooks.Succeeded || got[0].Attempts != 3 {
			t.Errorf("got %+v", got)
		}
	})
}

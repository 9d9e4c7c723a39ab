//go:build cgo

package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

// The application has its tables in the same file, and a handle of its own.
func ExampleStore_Tx() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	ctx, path := context.Background(), filepath.Join(dir, "app.db")

	db, err := sqlite.OpenDB(ctx, path) // for your tables
	if err != nil {
		log.Fatal(err)
	}
	store, err := sqlite.Open(ctx, path, sqlite.Options{}) // for its own, in the same file
	if err != nil {
		log.Fatal(err)
	}
	m, err := hooks.New(store, hooks.Config{})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE orders (id TEXT PRIMARY KEY)"); err != nil {
		log.Fatal(err)
	}

	place := func(order string, paid bool) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // does nothing after a commit
		if _, err := tx.ExecContext(ctx, "INSERT INTO orders (id) VALUES (?)", order); err != nil {
			return err
		}
		if _, err := m.TriggerTx(ctx, store.Tx(tx), hooks.Event{ID: order + "-paid", Type: "order.paid"}); err != nil {
			return err
		}
		if !paid {
			return errors.New("the card was declined")
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		m.Wake() // or the next poll finds it, see Config.PollInterval
		return nil
	}
	fmt.Println(place("order-1", true))
	fmt.Println(place("order-2", false))

	for _, id := range []string{"order-1-paid", "order-2-paid"} {
		_, err := m.Event(ctx, "", id)
		fmt.Println(id, "is stored:", !errors.Is(err, hooks.ErrNotFound))
	}
	if err := errors.Join(db.Close(), store.Close(), os.RemoveAll(dir)); err != nil {
		log.Fatal(err)
	}
	// Output:
	// <nil>
	// the card was declined
	// order-1-paid is stored: true
	// order-2-paid is stored: false
}

package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"

	"github.com/mattn/go-sqlite3"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

// A shop is the host: its orders and its hooks are in one database.
type shop struct {
	db    *sql.DB
	hooks *hooks.Manager
}

type order struct {
	ID    int64 `json:"id"`
	Total int64 `json:"total"`
}

// options are for the host's connections. A transaction waits for its turn to
// write when it begins, for at most 5 s, and its commit waits for the disk, as
// Manager.Trigger does; the driver's own defaults are deferred and NORMAL.
const options = "?_journal_mode=WAL&_txlock=immediate&_busy_timeout=5000&_synchronous=FULL"

// schema is the host's: orders, and the account that they are paid from.
const schema = `
CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, total INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS account (balance INTEGER NOT NULL CHECK (balance >= 0));
INSERT INTO account SELECT 1000 WHERE NOT EXISTS (SELECT * FROM account);`

// place stores an order, the event that tells of it, and its payment, in one
// transaction: all of them or, if there is an error, none.
func (s *shop) place(ctx context.Context, o order) error {
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit

	if _, err := tx.ExecContext(ctx, "INSERT INTO orders (id, total) VALUES (?, ?)", o.ID, o.Total); err != nil {
		return err
	}
	// An ID that follows from the order makes sure that it is told of once.
	// If something fails after this, the event goes, too.
	event := hooks.Event{ID: fmt.Sprintf("order-%d-paid", o.ID), Type: "order.paid", Data: data}
	if _, err := s.hooks.TriggerTx(ctx, sqlite.Tx(tx), event); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE account SET balance = balance - ?", o.Total); err != nil {
		return err
	}
	return tx.Commit()
}

// ServeHTTP takes an order. Who got no answer may post it again, and is told
// that it is there already if the first time succeeded.
func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var o order
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10)).Decode(&o)
	if err != nil || o.ID <= 0 || o.Total <= 0 {
		http.Error(w, "an order has an id and a total, both positive integers", http.StatusBadRequest)
		return
	}

	err = s.place(r.Context(), o)
	var refused sqlite3.Error
	switch errors.As(err, &refused); {
	case err == nil:
		w.WriteHeader(http.StatusCreated)
	case refused.ExtendedCode == sqlite3.ErrConstraintPrimaryKey:
		http.Error(w, "the order is there already", http.StatusConflict)
	case refused.ExtendedCode == sqlite3.ErrConstraintCheck:
		http.Error(w, "the balance is too low", http.StatusPaymentRequired)
	default:
		log.Printf("place order %d: %v", o.ID, err)
		http.Error(w, "the order was not placed", http.StatusInternalServerError)
	}
}

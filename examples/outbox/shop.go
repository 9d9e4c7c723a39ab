package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"

	"github.com/seed-2c6e3a5a/hooks"
)

// A shop is the application: its orders and its hooks are in one database.
type shop struct {
	db    *sql.DB
	tx    func(*sql.Tx) hooks.Tx
	hooks *hooks.Manager
}

type order struct {
	ID    int64 `json:"id"`
	Total int64 `json:"total"`
}

// Why an order is refused.
var (
	errThere  = errors.New("the order is there already")
	errTooLow = errors.New("the balance is too low")
)

// schema is the application's: orders, and the account that they are paid from.
const schema = `
CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, total INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS account (balance INTEGER NOT NULL);
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

	const insert = "INSERT INTO orders (id, total) VALUES ($1, $2) ON CONFLICT DO NOTHING"
	if err := change(ctx, tx, errThere, insert, o.ID, o.Total); err != nil {
		return err
	}
	// An ID that follows from the order makes sure that there is one event for it.
	// If something fails after this, the event goes, too.
	event := hooks.Event{ID: fmt.Sprintf("order-%d-paid", o.ID), Type: "order.paid", Data: data}
	if _, err := s.hooks.TriggerTx(ctx, s.tx(tx), event); err != nil {
		return err
	}
	const pay = "UPDATE account SET balance = balance - $1 WHERE balance >= $1"
	if err := change(ctx, tx, errTooLow, pay, o.Total); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	s.hooks.Wake() // so that the event is sent at once
	return nil
}

// change executes a statement, and returns refused if it has changed nothing.
func change(ctx context.Context, tx *sql.Tx, refused error, statement string, args ...any) error {
	result, err := tx.ExecContext(ctx, statement, args...)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); n > 0 || err != nil {
		return err
	}
	return refused
}

// ServeHTTP takes an order. A client that got no response may post it again. If the
// first request succeeded, the response says that the order is there already.
func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var o order
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10)).Decode(&o)
	if err != nil || o.ID <= 0 || o.Total <= 0 {
		http.Error(w, "an order has an id and a total, both positive integers", http.StatusBadRequest)
		return
	}

	err = s.place(r.Context(), o)
	switch {
	case err == nil:
		w.WriteHeader(http.StatusCreated)
	case errors.Is(err, errThere):
		http.Error(w, err.Error(), http.StatusConflict)
	case errors.Is(err, errTooLow):
		http.Error(w, err.Error(), http.StatusPaymentRequired)
	default:
		log.Printf("place order %d: %v", o.ID, err)
		http.Error(w, "the order was not placed", http.StatusInternalServerError)
	}
}

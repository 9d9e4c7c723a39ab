package main

import (
	"context"
	"path/filepath"

	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

var sqliteFullEntry = entry{
	name: onFull, keeps: "all", backlog: 0.8, triggered: 0.5,
	configuration: hooksConfiguration + "; a commit waits for the disk.",
	open:          openSQLite(sqlite.Full),
}

var sqliteNormalEntry = entry{
	name: onNormal, keeps: "all, but for a loss of power", backlog: 0.8, triggered: 0.5,
	configuration: hooksConfiguration + "; a commit waits for the file system only.",
	open:          openSQLite(sqlite.Normal),
}

func openSQLite(synchronous sqlite.Synchronous) func(context.Context, setting) (contender, error) {
	return func(ctx context.Context, s setting) (contender, error) {
		store, err := sqlite.Open(ctx, filepath.Join(s.dir, "hooks.db"), sqlite.Options{Synchronous: synchronous})
		if err != nil {
			return nil, err
		}
		return newEngine(ctx, s, store, store)
	}
}

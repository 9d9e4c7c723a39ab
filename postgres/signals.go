package postgres

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// Processes keep the lanes in memory (see lanes.go). Whoever makes a delivery claimable,
// now or later, appends a signal in the same transaction, and each process reads the
// signals of the others before it claims. A signal may be spurious, but must not be missing.
//
// Signals become visible in the order of the commits, which is not that of their
// transaction ids. So a process remembers the snapshot of the database that it has read
// last, and reads next what that did not show: the signals of transactions that had not
// begun then, and of those that were running.

// The kinds of signals: a lane of a hook, or an ordering key.
const (
	kindFirst int16 = iota // deliveries that wait for their first attempt
	kindRetry
	kindKey // the key may have blocked deliveries and no head
)

// earliest is earlier than all times.
const earliest = math.MinInt64 / 2

// signals are rows of hooks_signals, or a part of one.
type signals struct {
	hooks []int64
	kinds []int16
	dues  []int64
	keys  []pgtype.Text
}

func (g *signals) add(hook int64, kind int16, due int64) {
	// Deliveries of one lane mostly come one after the other.
	if last := len(g.hooks) - 1; last >= 0 && g.hooks[last] == hook && g.kinds[last] == kind && kind != kindKey {
		g.dues[last] = min(g.dues[last], due)
		return
	}
	g.hooks, g.kinds, g.dues, g.keys = append(g.hooks, hook), append(g.kinds, kind), append(g.dues, due), append(g.keys, pgtype.Text{})
}

func (g *signals) addKey(key orderingKey) {
	g.add(key.hook, kindKey, 0)
	g.keys[len(g.keys)-1] = pgtype.Text{String: key.key, Valid: true}
}

// throttleEnded says that a hook is no longer throttled.
func throttleEnded(hook int64) (g signals) {
	g.add(hook, kindFirst, earliest)
	g.add(hook, kindRetry, earliest)
	return g
}

// untilOthers is when other processes look for a lease that has ended: at the next full
// second, so that they look once for many.
func untilOthers(until time.Time) int64 {
	const second = 1000
	return (until.UnixMilli() + second - 1) / second * second
}

const sqlSignal = `INSERT INTO {schema}.hooks_signals (process, hooks, kinds, dues, keys)
	VALUES ($1::bigint, $2::bigint[], $3::smallint[], $4::bigint[], $5::text[])`

// signal appends signals that all processes read.
func (s *Store) signal(ctx context.Context, tx pgx.Tx, g signals) error {
	_, err := tx.Exec(ctx, s.sql(sqlSignal), g.args(0)...)
	return err
}

// queueSignal adds to a batch what appends signals that all other processes read.
func (s *Store) queueSignal(b *pgx.Batch, g signals) {
	if len(g.hooks) > 0 {
		b.Queue(s.sql(sqlSignal), g.args(s.process)...)
	}
}

// args are the arguments of sqlSignal. Most signals have no keys.
func (g *signals) args(process int64) []any {
	keys := g.keys
	if !slices.ContainsFunc(keys, func(k pgtype.Text) bool { return k.Valid }) {
		keys = nil
	}
	return []any{process, g.hooks, g.kinds, g.dues, keys}
}

// A snapshot is what the database showed at a time, see pg_current_snapshot: all
// transactions before min, and of those before max the ones that were not running.
type snapshot struct {
	min, max string
	running  []string
}

// parseSnapshot reads the text form of a snapshot: "min:max:running,running".
func parseSnapshot(text string) (snapshot, bool) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return snapshot{}, false
	}
	s := snapshot{min: parts[0], max: parts[1]}
	if parts[2] != "" {
		s.running = strings.Split(parts[2], ",")
	}
	return s, true
}

// sqlReadSignals reads the signals that a snapshot did not show, the present snapshot, and
// whether some may be missing: signals were deleted that the snapshot did not show, or it is of
// a server that had more transactions, before a failover.
const sqlReadSignals = `SELECT pg_current_snapshot()::text,
		d.below > $4::text::xid8 OR pg_snapshot_xmax(pg_current_snapshot()) < $1::text::xid8, g.hooks, g.kinds, g.dues, g.keys
	FROM {schema}.hooks_signals_deleted d LEFT JOIN (
		SELECT hooks, kinds, dues, keys FROM {schema}.hooks_signals WHERE xid >= $1::text::xid8 AND process <> $3::bigint
		UNION ALL
		SELECT hooks, kinds, dues, keys FROM {schema}.hooks_signals WHERE xid = ANY($2::text[]::xid8[]) AND process <> $3::bigint
	) g ON true`

// readSignals reads what others have signalled since the last call, and returns whether that
// is complete.
func (s *Store) readSignals(ctx context.Context) (complete bool, err error) {
	c := &s.claimer
	if c.seen.max == "" {
		return false, nil
	}
	var text string
	var deleted bool
	var all signals
	err = s.read(ctx, func(rows pgx.Rows) error {
		var g signals
		_, err := pgx.ForEachRow(rows, []any{&text, &deleted, &g.hooks, &g.kinds, &g.dues, &g.keys}, func() error {
			all.hooks, all.kinds, all.dues = append(all.hooks, g.hooks...), append(all.kinds, g.kinds...), append(all.dues, g.dues...)
			all.keys = append(all.keys, g.keys...)
			for len(all.keys) < len(all.hooks) {
				all.keys = append(all.keys, pgtype.Text{})
			}
			g = signals{}
			return nil
		})
		return err
	}, sqlReadSignals, c.seen.max, c.seen.running, s.process, c.seen.min)
	if err != nil || deleted {
		return false, err
	}
	now, ok := parseSnapshot(text)
	if !ok { // There is no row in hooks_signals_deleted, or the text is of a later PostgreSQL.
		return false, nil
	}
	if err := s.nameNumbered(ctx, distinct(all.hooks)); err != nil {
		return false, err
	}
	c.seen = now
	c.hear(s, all)
	return true, nil
}

func distinct(ns []int64) []int64 { return slices.Compact(slices.Sorted(slices.Values(ns))) }

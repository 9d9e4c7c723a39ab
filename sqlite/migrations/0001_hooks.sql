-- Times are milliseconds since 1970, in UTC. IDs that are UUIDs are kept as 16
-- bytes, others as text.

-- Counts the changes of hooks.
CREATE TABLE hooks_revision (last INTEGER NOT NULL);
INSERT INTO hooks_revision VALUES (0);

-- The hooks, those deleted lately, and those that have nothing but deliveries.
CREATE TABLE hooks_hooks (
	n               INTEGER PRIMARY KEY, -- names the hook in the other tables
	tenant          TEXT NOT NULL,
	id              TEXT NOT NULL,
	revision        INTEGER,             -- of the last change; NULL: forgotten
	deleted_at      INTEGER,
	version         INTEGER,             -- NULL: there is no such hook
	created_at      INTEGER,
	name            TEXT,
	protocol        TEXT,
	disabled        INTEGER,
	failures        INTEGER NOT NULL DEFAULT 0,
	failing_since   INTEGER,
	throttled_until INTEGER,
	document        TEXT,                -- what else there is to the hook, as JSON
	settings        BLOB,
	UNIQUE (tenant, id)
);
CREATE UNIQUE INDEX hooks_hooks_revision ON hooks_hooks (revision);
CREATE INDEX hooks_hooks_deleted ON hooks_hooks (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX hooks_hooks_created ON hooks_hooks (tenant, created_at, id) WHERE version IS NOT NULL;

CREATE TABLE hooks_events (
	n            INTEGER PRIMARY KEY,    -- in the order of the triggers
	tenant       TEXT NOT NULL,
	id           BLOB NOT NULL,
	type         TEXT NOT NULL,
	time         INTEGER NOT NULL,
	triggered_at INTEGER NOT NULL,
	first        INTEGER NOT NULL,       -- the deliveries are first, first+1, …
	deliveries   INTEGER NOT NULL,       -- so many; 0 when none is left
	key          TEXT,
	metadata     TEXT,                   -- JSON
	data         BLOB,
	UNIQUE (tenant, id)
);
CREATE INDEX hooks_events_bare ON hooks_events (triggered_at) WHERE deliveries = 0;

CREATE TABLE hooks_deliveries (
	n          INTEGER PRIMARY KEY,      -- in the order of the triggers
	id         BLOB NOT NULL UNIQUE,
	event      INTEGER NOT NULL,
	hook       INTEGER NOT NULL,
	state      INTEGER NOT NULL,         -- 1 blocked, 2 pending, 3 leased, 4 succeeded, 5 dead, 6 cancelled
	handed     INTEGER NOT NULL,         -- 1: was stored as leased
	step       INTEGER NOT NULL,
	retry      INTEGER NOT NULL,         -- the lane: 1 if step > 0, else 0
	attempts   INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	due        INTEGER,
	queued     INTEGER,                  -- since when it waits in its lane: when pending, or the lease has ended
	token      INTEGER NOT NULL,
	until      INTEGER,
	owner      BLOB,
	ended_at   INTEGER,
	held       INTEGER,                  -- 1: holds its key back
	key        TEXT,
	reason     TEXT
);
CREATE INDEX hooks_deliveries_queued ON hooks_deliveries (hook, retry, queued) WHERE queued IS NOT NULL;
CREATE INDEX hooks_deliveries_leased ON hooks_deliveries (until) WHERE until IS NOT NULL AND queued IS NULL;
CREATE INDEX hooks_deliveries_key ON hooks_deliveries (hook, key) WHERE key IS NOT NULL AND (ended_at IS NULL OR held = 1);
CREATE INDEX hooks_deliveries_held ON hooks_deliveries (hook) WHERE held = 1;

-- The lanes that have something queued. A claim serves those that are in line,
-- and puts into line what has become due.
CREATE TABLE hooks_lanes (
	hook  INTEGER NOT NULL,
	retry INTEGER NOT NULL,              -- 0: first attempts, 1: retries
	due   INTEGER NOT NULL,              -- nothing in the lane is due earlier
	turn  INTEGER,                       -- the place in line; NULL: not in line
	PRIMARY KEY (hook, retry)
) WITHOUT ROWID;
CREATE INDEX hooks_lanes_due ON hooks_lanes (due) WHERE turn IS NULL;
CREATE INDEX hooks_lanes_turn ON hooks_lanes (turn) WHERE turn IS NOT NULL;

CREATE TABLE hooks_attempts (
	n               INTEGER PRIMARY KEY, -- delivery * 65536 + number
	started_at      INTEGER NOT NULL,
	duration        INTEGER NOT NULL,    -- in nanoseconds
	state           INTEGER NOT NULL,    -- of the delivery, as above
	next_at         INTEGER,
	request         INTEGER,             -- hooks_requests has it at n with its lower 32 bits replaced by this
	body_size       INTEGER NOT NULL,
	body_sha256     BLOB,
	status          INTEGER NOT NULL,
	truncated       INTEGER NOT NULL,
	class           TEXT,                -- NULL: a success
	error           TEXT,
	response_header BLOB,                -- packed, as header.go says
	response_body   BLOB
);

-- What attempts have in common, so that it is stored once for many: those whose
-- n have the same upper 32 bits share rows.
CREATE TABLE hooks_requests (
	n      INTEGER PRIMARY KEY,
	method TEXT NOT NULL,
	url    TEXT NOT NULL,
	header BLOB                          -- packed, as header.go says
);

-- What happened to the deliveries of each hook, in order: the index of all lists
-- and statistics. What comes at about the same time is kept at one place, so
-- that a delivery that succeeds at once changes one page and not three. Those
-- that were handed over and are not settled are not in it yet.
CREATE TABLE hooks_log (
	hook     INTEGER NOT NULL,
	at       INTEGER NOT NULL,
	delivery INTEGER NOT NULL,
	entry    INTEGER NOT NULL,           -- number of the attempt * 8 +
	                                     -- 0 created, 1 succeeded, 2 dead, 3 cancelled, 4 attempt, 5 failed attempt
	PRIMARY KEY (hook, at, delivery, entry)
) WITHOUT ROWID;

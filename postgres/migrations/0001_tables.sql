-- Times are milliseconds since 1970, in UTC. {schema} is the schema's name.

-- Numbers events and deliveries in the order of the triggers. Each transaction takes one
-- block of numbers and counts in it.
CREATE SEQUENCE {schema}.hooks_sequence INCREMENT BY 1048576;

-- Names the database: a transaction of another is refused.
CREATE TABLE {schema}.hooks_identity (id text NOT NULL);
INSERT INTO {schema}.hooks_identity VALUES (replace(gen_random_uuid()::text, '-', ''));

-- Counts the changes of hooks. Whoever changes a hook locks this row first, so that
-- revisions become visible in their order.
CREATE TABLE {schema}.hooks_revision (last bigint NOT NULL);
INSERT INTO {schema}.hooks_revision VALUES (0);

-- The hooks, those that were deleted, and those that have nothing but deliveries. The row
-- of a deleted hook stays, because processes remember its n.
CREATE TABLE {schema}.hooks_hooks (
	n               bigint GENERATED ALWAYS AS IDENTITY,
	tenant          text COLLATE "C" NOT NULL,
	id              text COLLATE "C" NOT NULL,
	revision        bigint,            -- of the last change; NULL: forgotten
	deleted_at      bigint,
	version         bigint,            -- NULL: there is no such hook
	created_at      bigint,
	failures        integer NOT NULL DEFAULT 0,
	failing_since   bigint,
	throttled_until bigint,
	disabled        boolean,
	name            text COLLATE "C",
	protocol        text COLLATE "C",
	document        text,              -- what else there is to the hook, as JSON
	settings        bytea,
	CONSTRAINT hooks_hooks_pkey PRIMARY KEY (n),
	CONSTRAINT hooks_hooks_name UNIQUE (tenant, id)
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX hooks_hooks_revision ON {schema}.hooks_hooks (revision) WHERE revision IS NOT NULL;
CREATE INDEX hooks_hooks_created ON {schema}.hooks_hooks (tenant, created_at, id) WHERE version IS NOT NULL;
CREATE INDEX hooks_hooks_deleted ON {schema}.hooks_hooks (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE {schema}.hooks_events (
	n            bigint NOT NULL,
	time         bigint NOT NULL,
	triggered_at bigint NOT NULL,
	bare         boolean NOT NULL,     -- it has no delivery, or no longer
	tenant       text COLLATE "C" NOT NULL,
	id           text COLLATE "C" NOT NULL,
	type         text COLLATE "C" NOT NULL,
	ordering_key text COLLATE "C",
	deliveries   uuid[],               -- the IDs of those that it made
	metadata     text,                 -- JSON
	data         bytea,
	CONSTRAINT hooks_events_pkey PRIMARY KEY (n),
	CONSTRAINT hooks_events_id UNIQUE (tenant, id)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05);
CREATE INDEX hooks_events_bare ON {schema}.hooks_events (triggered_at) WHERE bare;

-- The deliveries that have not ended.
CREATE TABLE {schema}.hooks_queue (
	id           uuid NOT NULL,
	n            bigint NOT NULL,      -- in the order of the triggers
	event        bigint NOT NULL,
	hook         bigint NOT NULL,
	created_at   bigint NOT NULL,
	due          bigint NOT NULL,
	queued       bigint,               -- from when it can be claimed: when it is due, or its lease ends; NULL: blocked
	token        bigint NOT NULL,
	size         integer NOT NULL,     -- of the event's data
	step         integer NOT NULL,
	attempts     integer NOT NULL,
	state        smallint NOT NULL,    -- 1 blocked, 2 pending, 3 leased
	retry        smallint NOT NULL,    -- the lane: 1 if step > 0, else 0
	undecided    boolean NOT NULL,     -- the hook's filter is still to be evaluated
	owner        text,
	ordering_key text COLLATE "C",
	reason       text,
	CONSTRAINT hooks_queue_pkey PRIMARY KEY (id)
) WITH (
	fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,
	autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0.1
);
CREATE INDEX hooks_queue_lane ON {schema}.hooks_queue (hook, retry, queued, n) WHERE queued IS NOT NULL;
CREATE INDEX hooks_queue_created ON {schema}.hooks_queue (hook, created_at);
-- Of the deliveries of a hook with one ordering key, at most one is not blocked.
CREATE UNIQUE INDEX hooks_queue_head ON {schema}.hooks_queue (hook, ordering_key) WHERE ordering_key IS NOT NULL AND state <> 1;
CREATE INDEX hooks_queue_blocked ON {schema}.hooks_queue (hook, ordering_key, n) WHERE state = 1;

-- The deliveries that have ended, each with the attempt that ended it, if there is one.
CREATE TABLE {schema}.hooks_log (
	id              uuid NOT NULL,
	n               bigint NOT NULL,
	event           bigint NOT NULL,
	hook            bigint NOT NULL,
	created_at      bigint NOT NULL,
	ended_at        bigint NOT NULL,
	token           bigint NOT NULL,
	started_at      bigint,            -- of the last attempt; NULL: it ended without one
	duration        bigint,            -- in nanoseconds
	size            integer NOT NULL,
	step            integer NOT NULL,
	attempts        integer NOT NULL,  -- how many; the number of the last
	body_size       integer,
	state           smallint NOT NULL, -- 4 succeeded, 5 dead, 6 cancelled
	attempt_state   smallint,          -- what the attempt made of the delivery
	status          smallint,
	lacks           smallint,          -- what is missing of the response: 1 the rest of the body, 2 fields of the header, 4 both were dropped
	undecided       boolean NOT NULL,
	held            boolean NOT NULL,  -- it holds its ordering key
	ordering_key    text COLLATE "C",
	reason          text,
	class           text,              -- of the failure; NULL: a success
	error           text,
	method          text,
	url             text,
	body_sha256     bytea,
	request_header  bytea,
	response_header bytea,
	response_body   bytea,
	CONSTRAINT hooks_log_pkey PRIMARY KEY (id)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05);
CREATE INDEX hooks_log_created ON {schema}.hooks_log (hook, created_at);
CREATE INDEX hooks_log_started ON {schema}.hooks_log (hook, started_at) WHERE started_at IS NOT NULL;
CREATE INDEX hooks_log_ended ON {schema}.hooks_log (hook, ended_at);
CREATE INDEX hooks_log_failed ON {schema}.hooks_log (hook, started_at) WHERE class IS NOT NULL;
CREATE INDEX hooks_log_unsuccessful ON {schema}.hooks_log (hook, created_at) WHERE state <> 4;
CREATE INDEX hooks_log_held ON {schema}.hooks_log (hook, ordering_key) WHERE held;

-- All other attempts.
CREATE TABLE {schema}.hooks_attempts (
	delivery        uuid NOT NULL,
	event           bigint NOT NULL,
	hook            bigint NOT NULL,
	started_at      bigint NOT NULL,
	duration        bigint NOT NULL,
	next_at         bigint,
	number          integer NOT NULL,
	body_size       integer NOT NULL,
	attempt_state   smallint NOT NULL,
	status          smallint NOT NULL,
	lacks           smallint NOT NULL,
	class           text,
	error           text,
	method          text,
	url             text,
	body_sha256     bytea,
	request_header  bytea,
	response_header bytea,
	response_body   bytea,
	CONSTRAINT hooks_attempts_pkey PRIMARY KEY (delivery, number)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05);
CREATE INDEX hooks_attempts_started ON {schema}.hooks_attempts (hook, started_at);
CREATE INDEX hooks_attempts_final ON {schema}.hooks_attempts (hook, started_at) WHERE attempt_state <> 2;

-- What has become claimable, or will. Each process reads what others append here; old
-- rows are deleted.
CREATE TABLE {schema}.hooks_signals (
	xid     xid8 NOT NULL DEFAULT pg_current_xact_id(),
	process bigint NOT NULL,           -- which does not read it; 0: all do
	hooks   bigint[] NOT NULL,
	kinds   smallint[] NOT NULL,       -- the lane: 0 first attempts, 1 retries; or 2: the key may have no head
	dues    bigint[] NOT NULL,         -- not later than when the first is due
	keys    text[]                     -- for kind 2
) WITH (autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX hooks_signals_xid ON {schema}.hooks_signals (xid);

-- Signals of transactions before this one were deleted.
CREATE TABLE {schema}.hooks_signals_deleted (below xid8 NOT NULL);
INSERT INTO {schema}.hooks_signals_deleted VALUES ('0');

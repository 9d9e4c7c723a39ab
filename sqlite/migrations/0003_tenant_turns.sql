-- Lanes stand in line within their tenant, and the tenants stand in a line of
-- their own. What is in line keeps its place.
CREATE TABLE hooks_lanes_by_tenant (
	hook   INTEGER NOT NULL,
	retry  INTEGER NOT NULL,             -- 0: first attempts, 1: retries
	tenant TEXT NOT NULL,                -- the hook's
	due    INTEGER NOT NULL,             -- nothing in the lane is due earlier
	turn   INTEGER,                      -- the place in the tenant's line; NULL: not in line
	PRIMARY KEY (hook, retry)
) WITHOUT ROWID;
INSERT INTO hooks_lanes_by_tenant SELECT l.hook, l.retry, h.tenant, l.due, l.turn FROM hooks_lanes l JOIN hooks_hooks h ON h.n = l.hook;
DROP TABLE hooks_lanes;
ALTER TABLE hooks_lanes_by_tenant RENAME TO hooks_lanes;
CREATE INDEX hooks_lanes_due ON hooks_lanes (due) WHERE turn IS NULL;
CREATE INDEX hooks_lanes_turn ON hooks_lanes (tenant, turn) WHERE turn IS NOT NULL;

-- The tenants that have lanes in line.
CREATE TABLE hooks_tenants (
	tenant TEXT PRIMARY KEY,
	turn   INTEGER NOT NULL              -- the place in line
) WITHOUT ROWID;
CREATE INDEX hooks_tenants_turn ON hooks_tenants (turn);
INSERT INTO hooks_tenants SELECT tenant, min(turn) FROM hooks_lanes WHERE turn IS NOT NULL GROUP BY tenant;

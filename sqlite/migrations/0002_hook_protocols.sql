-- The lists of hooks, of all and of a protocol. Pages far down and counts need
-- nothing but these indexes: a hook exists if it has a created_at, which they
-- have, too.
DROP INDEX hooks_hooks_created;
CREATE INDEX hooks_hooks_created ON hooks_hooks (tenant, created_at, id) WHERE created_at IS NOT NULL;
CREATE INDEX hooks_hooks_protocol ON hooks_hooks (tenant, protocol, created_at, id) WHERE created_at IS NOT NULL;

-- The hooks of a protocol in the order of their list, so that a page far down and
-- a count touch no row. That of all hooks stays on hooks_hooks_created.
CREATE INDEX hooks_hooks_protocol ON hooks_hooks (tenant, protocol, created_at, id) WHERE version IS NOT NULL;

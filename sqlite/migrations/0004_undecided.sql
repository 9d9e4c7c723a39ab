-- 1: the hook's filter is still to be evaluated.
ALTER TABLE hooks_deliveries ADD COLUMN undecided INTEGER;

-- The words that the library uses.
ALTER TABLE hooks_events RENAME COLUMN key TO ordering_key;
ALTER TABLE hooks_deliveries RENAME COLUMN key TO ordering_key;
UPDATE hooks_attempts SET class = CASE class WHEN 'blocked' THEN 'forbidden' ELSE 'http' END WHERE class IN ('blocked', 'protocol');

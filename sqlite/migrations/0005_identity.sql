-- Names the database: a transaction of another is refused.
CREATE TABLE hooks_identity (id TEXT NOT NULL);
INSERT INTO hooks_identity VALUES (lower(hex(randomblob(16))));

-- What is secret of a hook begins a page behind the rest of the row, see packHook.
UPDATE hooks_hooks SET document = (SELECT printf('%' || page_size || 's', '') FROM pragma_page_size) || document
WHERE typeof(document) = 'text';

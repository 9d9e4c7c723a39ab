-- Names the database: a transaction of another is refused.
CREATE TABLE hooks_identity (id TEXT NOT NULL);
INSERT INTO hooks_identity VALUES (lower(hex(randomblob(16))));

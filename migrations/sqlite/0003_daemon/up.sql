-- writers: the last batch of each start of a daemon, so that a batch is written exactly once however often it is tried.
-- lease: which daemon works on this database.
CREATE TABLE writers (
    writer INTEGER NOT NULL PRIMARY KEY,
    last_number INTEGER NOT NULL
) STRICT;

CREATE TABLE lease (
    id INTEGER NOT NULL PRIMARY KEY,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    writer INTEGER NOT NULL,
    held_until INTEGER NOT NULL,
    held_until_utc TEXT GENERATED ALWAYS AS (strftime('%Y-%m-%d %H:%M:%f', held_until / 1000.0, 'unixepoch')) VIRTUAL
) STRICT;

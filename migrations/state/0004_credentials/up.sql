-- The last known credentials, as JSON.
CREATE TABLE credentials (
    id INTEGER NOT NULL PRIMARY KEY,
    definition TEXT NOT NULL
) STRICT;

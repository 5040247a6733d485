-- What was brought over from another database, by its name there: it is never brought over twice, whatever becomes of it.
CREATE TABLE imports (
    kind TEXT NOT NULL,
    tenantid TEXT NOT NULL,
    name TEXT NOT NULL,
    old_id INTEGER NOT NULL,
    item_id INTEGER NOT NULL,
    source TEXT NOT NULL,
    imported_at INTEGER NOT NULL,
    imported_at_utc TEXT GENERATED ALWAYS AS (strftime('%Y-%m-%d %H:%M:%f', imported_at / 1000.0, 'unixepoch')) VIRTUAL,
    PRIMARY KEY (kind, tenantid, name)
) STRICT;

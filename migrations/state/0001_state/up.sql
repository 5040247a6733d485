-- state.db: what the daemon must not lose when the main database is away. target_status and incidents have the columns of
-- the main database; the counters of target_status are absolute here.
CREATE TABLE definitions (
    id INTEGER NOT NULL PRIMARY KEY,
    definition TEXT NOT NULL
) STRICT;

CREATE TABLE target_status (
    target_id INTEGER NOT NULL PRIMARY KEY,
    status TEXT NOT NULL,
    previous_status TEXT NOT NULL,
    status_description TEXT NOT NULL,
    reason TEXT NULL,
    last_updated INTEGER NULL,
    last_updated_utc TEXT GENERATED ALWAYS AS (strftime('%Y-%m-%d %H:%M:%f', last_updated / 1000.0, 'unixepoch')) VIRTUAL,
    pass_count INTEGER NOT NULL DEFAULT 0,
    fail_count INTEGER NOT NULL DEFAULT 0,
    unknown_count INTEGER NOT NULL DEFAULT 0,
    missed_count INTEGER NOT NULL DEFAULT 0,
    count200 INTEGER NOT NULL DEFAULT 0,
    count300 INTEGER NOT NULL DEFAULT 0,
    count400 INTEGER NOT NULL DEFAULT 0,
    count500 INTEGER NOT NULL DEFAULT 0,
    network_fails INTEGER NOT NULL DEFAULT 0,
    repeated_fails INTEGER NOT NULL DEFAULT 0,
    repeated_passes INTEGER NOT NULL DEFAULT 0,
    last_latency_us INTEGER NULL,
    certificate_expires_at INTEGER NULL,
    certificate_expires_at_utc TEXT GENERATED ALWAYS AS (strftime('%Y-%m-%d %H:%M:%f', certificate_expires_at / 1000.0, 'unixepoch')) VIRTUAL,
    incident_id INTEGER NULL,
    incident_started_at INTEGER NULL,
    incident_started_at_utc TEXT GENERATED ALWAYS AS (strftime('%Y-%m-%d %H:%M:%f', incident_started_at / 1000.0, 'unixepoch')) VIRTUAL,
    conclusive_status TEXT NOT NULL,
    imported_count INTEGER NOT NULL DEFAULT 0,
    pruned_count INTEGER NOT NULL DEFAULT 0,
    thinned_count INTEGER NOT NULL DEFAULT 0,
    writer INTEGER NOT NULL DEFAULT 0,
    number INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE incidents (
    id INTEGER NOT NULL PRIMARY KEY,
    subject_kind TEXT NOT NULL,
    subject_id INTEGER NOT NULL,
    reason TEXT NOT NULL,
    description TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    started_at_utc TEXT GENERATED ALWAYS AS (strftime('%Y-%m-%d %H:%M:%f', started_at / 1000.0, 'unixepoch')) VIRTUAL,
    ended_at INTEGER NULL,
    ended_at_utc TEXT GENERATED ALWAYS AS (strftime('%Y-%m-%d %H:%M:%f', ended_at / 1000.0, 'unixepoch')) VIRTUAL,
    ended_by TEXT NULL,
    first_trace TEXT NOT NULL,
    last_good_trace TEXT NULL,
    node INTEGER GENERATED ALWAYS AS ((id >> 12) & 1023) VIRTUAL
) STRICT;
CREATE INDEX incidents_ended ON incidents (ended_at, id);

-- One row a transition: the ground on which messages are owed. facts: the target as it was then, as JSON.
CREATE TABLE events (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    incident_id INTEGER NOT NULL,
    target_id INTEGER NOT NULL,
    kind TEXT NOT NULL,
    at INTEGER NOT NULL,
    facts TEXT NOT NULL,
    at_utc TEXT GENERATED ALWAYS AS (strftime('%Y-%m-%d %H:%M:%f', at / 1000.0, 'unixepoch')) VIRTUAL,
    UNIQUE (incident_id, kind)
) STRICT;

-- Batches that the main database has not taken yet, oldest first. A sequence number is never given twice.
CREATE TABLE spool (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    writer INTEGER NOT NULL,
    number INTEGER NOT NULL,
    results INTEGER NOT NULL,
    passes INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (writer, number)
) STRICT;
-- The batches that can still be thinned.
CREATE INDEX spool_passes ON spool (seq) WHERE passes > 0;

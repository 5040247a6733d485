-- What the daemon writes: where each target stands, what each probe saw, what went wrong and for how long.
-- Counters: pass_count + fail_count + unknown_count = imported_count + pruned_count + thinned_count + rows in results.
-- No foreign keys: a target that is deleted while its last results are on their way must not stop them.
-- node: the machine that made the id.
-- SQLite works out generated columns at each write and strftime is dear,
-- so these tables do without it.
CREATE TABLE target_status (
    target_id INTEGER NOT NULL PRIMARY KEY,
    status TEXT NOT NULL,
    previous_status TEXT NOT NULL,
    status_description TEXT NOT NULL,
    reason TEXT NULL,
    last_updated INTEGER NULL,
    last_updated_utc TEXT GENERATED ALWAYS AS (datetime(last_updated / 1000, 'unixepoch') || '.' || substr(last_updated % 1000 + 1000, 2)) VIRTUAL,
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
    certificate_expires_at_utc TEXT GENERATED ALWAYS AS (datetime(certificate_expires_at / 1000, 'unixepoch') || '.' || substr(certificate_expires_at % 1000 + 1000, 2)) VIRTUAL,
    incident_id INTEGER NULL,
    incident_started_at INTEGER NULL,
    incident_started_at_utc TEXT GENERATED ALWAYS AS (datetime(incident_started_at / 1000, 'unixepoch') || '.' || substr(incident_started_at % 1000 + 1000, 2)) VIRTUAL,
    conclusive_status TEXT NOT NULL,
    imported_count INTEGER NOT NULL DEFAULT 0,
    pruned_count INTEGER NOT NULL DEFAULT 0,
    thinned_count INTEGER NOT NULL DEFAULT 0,
    writer INTEGER NOT NULL DEFAULT 0,
    number INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE results (
    id INTEGER NOT NULL PRIMARY KEY,
    target_id INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    due_at_utc TEXT GENERATED ALWAYS AS (datetime(due_at / 1000, 'unixepoch') || '.' || substr(due_at % 1000 + 1000, 2)) VIRTUAL,
    started_at INTEGER NOT NULL,
    started_at_utc TEXT GENERATED ALWAYS AS (datetime(started_at / 1000, 'unixepoch') || '.' || substr(started_at % 1000 + 1000, 2)) VIRTUAL,
    lateness_us INTEGER NOT NULL,
    verdict TEXT NOT NULL,
    reason TEXT NULL,
    description TEXT NULL,
    status_code INTEGER NULL,
    latency_us INTEGER NOT NULL,
    resolve_us INTEGER NULL,
    connect_us INTEGER NULL,
    tls_us INTEGER NULL,
    auth_us INTEGER NULL,
    first_byte_us INTEGER NULL,
    body_us INTEGER NULL,
    body_bytes INTEGER NOT NULL,
    incident_id INTEGER NULL,
    node INTEGER GENERATED ALWAYS AS ((id >> 12) & 1023) VIRTUAL
) STRICT;
-- By target within spans of 8.192 s (ids begin with milliseconds): the pages of one span take all of its results,
-- where (target_id, id) would take as many pages as there are targets.
CREATE INDEX results_target ON results (id >> 35, target_id);

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
CREATE INDEX incidents_subject ON incidents (subject_kind, subject_id, id);
CREATE INDEX incidents_ended ON incidents (ended_at, id);

-- The schema of skypunch 1.0.0-alpha.1 (migrations/state), with rows.
CREATE TABLE __diesel_schema_migrations (
    version VARCHAR(50) NOT NULL PRIMARY KEY,
    run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);

-- 0001_state
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
INSERT INTO __diesel_schema_migrations (version) VALUES ('0001');

-- 0002_outbox
-- What is owed to whom. A row of outbox is one notice, whole in its body; the other columns are those that queries need.
CREATE TABLE notifiers (
    id INTEGER NOT NULL PRIMARY KEY,
    definition TEXT NOT NULL
) STRICT;

CREATE TABLE outbox (
    id INTEGER NOT NULL PRIMARY KEY,
    notifier_id INTEGER NOT NULL,
    incident_id INTEGER NOT NULL,
    state TEXT NOT NULL,
    -- 1: the rules need it no more. It goes once the main database has it and it is old.
    done INTEGER NOT NULL,
    finished_at INTEGER NULL,
    finished_at_utc TEXT GENERATED ALWAYS AS (strftime('%Y-%m-%d %H:%M:%f', finished_at / 1000.0, 'unixepoch')) VIRTUAL,
    -- Grows with every change; the copy in the main database is as new as synced.
    version INTEGER NOT NULL,
    synced INTEGER NOT NULL DEFAULT 0,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX outbox_incident ON outbox (incident_id, id);
CREATE INDEX outbox_open ON outbox (id) WHERE done = 0;
CREATE INDEX outbox_unsynced ON outbox (id) WHERE synced < version;
CREATE INDEX outbox_finished ON outbox (finished_at, id) WHERE done = 1;

-- Counters over a notifier's whole life.
CREATE TABLE notifier_status (
    notifier_id INTEGER NOT NULL PRIMARY KEY,
    pass_count INTEGER NOT NULL DEFAULT 0,
    fail_count INTEGER NOT NULL DEFAULT 0,
    last_sent_at INTEGER NULL,
    last_sent_at_utc TEXT GENERATED ALWAYS AS (strftime('%Y-%m-%d %H:%M:%f', last_sent_at / 1000.0, 'unixepoch')) VIRTUAL,
    last_failed_at INTEGER NULL,
    last_failed_at_utc TEXT GENERATED ALWAYS AS (strftime('%Y-%m-%d %H:%M:%f', last_failed_at / 1000.0, 'unixepoch')) VIRTUAL,
    last_answer TEXT NULL,
    version INTEGER NOT NULL DEFAULT 0,
    synced INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The last event whose notices are in the outbox, and what else the rules must know of it.
CREATE TABLE notify_cursor (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    event_id INTEGER NOT NULL,
    mark TEXT NOT NULL
) STRICT;
INSERT INTO notify_cursor (id, event_id, mark) VALUES (1, 0, '');

-- What the rules keep beside the notices, by kind and id: how a target changes, messages on their way, ….
CREATE TABLE kept (
    kind TEXT NOT NULL,
    id INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
INSERT INTO __diesel_schema_migrations (version) VALUES ('0002');

-- 0003_incident_names
-- As in the main database; existing rows take them from the event with which they began.
ALTER TABLE incidents ADD COLUMN subject_name TEXT NOT NULL DEFAULT '';
ALTER TABLE incidents ADD COLUMN tenantid TEXT NOT NULL DEFAULT '';
UPDATE incidents SET
    subject_name = COALESCE(
        (SELECT json_extract(e.facts, '$.name') FROM events e WHERE e.incident_id = incidents.id AND e.kind = 'opened'), ''),
    tenantid = COALESCE(
        (SELECT json_extract(e.facts, '$.tenant') FROM events e WHERE e.incident_id = incidents.id AND e.kind = 'opened'), '');
INSERT INTO __diesel_schema_migrations (version) VALUES ('0003');

-- 0004_credentials
-- The last known credentials, as JSON.
CREATE TABLE credentials (
    id INTEGER NOT NULL PRIMARY KEY,
    definition TEXT NOT NULL
) STRICT;
INSERT INTO __diesel_schema_migrations (version) VALUES ('0004');

-- rows
INSERT INTO definitions (id, definition) VALUES (3, '{"id": 3, "name": "shop", "tenantid": "7", "url": "https://shop.example/"}');
INSERT INTO notifiers (id, definition)
VALUES (4, '{"id": 4, "name": "ops", "type": "SMTP", "address": "ops@example.com", "params": "server=mail.example.com"}');
INSERT INTO credentials (id, definition)
VALUES (2, '{"id": 2, "name": "cloud", "type": "OPENSTACK", "params": "auth_url=http://k,user_id=u"}');
INSERT INTO target_status (target_id, status, previous_status, status_description, reason, last_updated, pass_count, fail_count,
    repeated_fails, incident_id, incident_started_at, conclusive_status, writer, number)
VALUES (3, 'FAIL', 'PASS', '503 is not in 200-299', 'status', 1795348800000, 10, 2, 2, 912386563040178177, 1795348790000, 'FAIL',
    77, 8);
INSERT INTO incidents (id, subject_kind, subject_id, reason, description, started_at, first_trace, subject_name, tenantid)
VALUES (912386563040178177, 'target', 3, 'status', '503 is not in 200-299', 1795348790000, '{"steps":[]}', 'shop', '7');
INSERT INTO events (id, incident_id, target_id, kind, at, facts)
VALUES (11, 912386563040178177, 3, 'opened', 1795348790000, '{"id": 3, "name": "shop", "tenant": "7"}');
INSERT INTO outbox (id, notifier_id, incident_id, state, done, finished_at, version, synced, body)
VALUES (912386563040178179, 4, 912386563040178177, 'waiting', 0, NULL, 1, 0, '{}');
INSERT INTO notifier_status (notifier_id, pass_count, fail_count, version, synced) VALUES (4, 1, 0, 1, 1);
UPDATE notify_cursor SET event_id = 11, mark = 'm' WHERE id = 1;
INSERT INTO kept (kind, id, body) VALUES ('flow', 3, '{}');

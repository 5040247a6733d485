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

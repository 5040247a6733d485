-- Whom to tell. name, type, address and params are all that a person needs to type.
CREATE TABLE notifiers (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    tenantid TEXT NOT NULL DEFAULT '0',
    type TEXT NOT NULL,
    address TEXT NOT NULL,
    params TEXT NULL,
    enabled INTEGER NOT NULL DEFAULT TRUE,
    match_tags TEXT NULL,
    match_tenant TEXT NULL,
    match_name TEXT NULL,
    events TEXT NULL,
    group_wait_ms INTEGER NOT NULL DEFAULT 5000,
    group_window_ms INTEGER NOT NULL DEFAULT 30000,
    rate_per_minute INTEGER NOT NULL DEFAULT 20,
    retry_for_ms INTEGER NOT NULL DEFAULT 86400000,
    remind_ms INTEGER NULL,
    templates TEXT NULL,
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
    created_at_utc TEXT GENERATED ALWAYS AS (strftime('%Y-%m-%d %H:%M:%f', created_at / 1000.0, 'unixepoch')) VIRTUAL,
    updated_at_utc TEXT GENERATED ALWAYS AS (strftime('%Y-%m-%d %H:%M:%f', updated_at / 1000.0, 'unixepoch')) VIRTUAL,
    UNIQUE (tenantid, name)
) STRICT;
CREATE TRIGGER notifiers_insert AFTER INSERT ON notifiers BEGIN UPDATE revision SET revision = revision + 1; END;
CREATE TRIGGER notifiers_update AFTER UPDATE ON notifiers BEGIN UPDATE revision SET revision = revision + 1; END;
CREATE TRIGGER notifiers_delete AFTER DELETE ON notifiers BEGIN UPDATE revision SET revision = revision + 1; END;

-- How each notifier is doing; a copy of what the daemon keeps in state.db.
CREATE TABLE notifier_status (
    notifier_id INTEGER NOT NULL PRIMARY KEY,
    pass_count INTEGER NOT NULL DEFAULT 0,
    fail_count INTEGER NOT NULL DEFAULT 0,
    last_sent_at INTEGER NULL,
    last_failed_at INTEGER NULL,
    last_answer TEXT NULL,
    version INTEGER NOT NULL DEFAULT 0,
    last_sent_at_utc TEXT GENERATED ALWAYS AS (strftime('%Y-%m-%d %H:%M:%f', last_sent_at / 1000.0, 'unixepoch')) VIRTUAL,
    last_failed_at_utc TEXT GENERATED ALWAYS AS (strftime('%Y-%m-%d %H:%M:%f', last_failed_at / 1000.0, 'unixepoch')) VIRTUAL
) STRICT;

-- What was told to whom, when, how often it was tried, and what the server said; a copy of the outbox in state.db.
CREATE TABLE notifications (
    id INTEGER NOT NULL PRIMARY KEY,
    notifier_id INTEGER NOT NULL,
    notifier_name TEXT NOT NULL,
    incident_id INTEGER NOT NULL,
    target_id INTEGER NOT NULL,
    target_name TEXT NOT NULL,
    event TEXT NOT NULL,
    number INTEGER NOT NULL,
    state TEXT NOT NULL,
    message_id TEXT NULL,
    digest_id INTEGER NULL,
    attempts INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    attempted_at INTEGER NULL,
    sent_at INTEGER NULL,
    answer TEXT NULL,
    version INTEGER NOT NULL,
    created_at_utc TEXT GENERATED ALWAYS AS (strftime('%Y-%m-%d %H:%M:%f', created_at / 1000.0, 'unixepoch')) VIRTUAL,
    attempted_at_utc TEXT GENERATED ALWAYS AS (strftime('%Y-%m-%d %H:%M:%f', attempted_at / 1000.0, 'unixepoch')) VIRTUAL,
    sent_at_utc TEXT GENERATED ALWAYS AS (strftime('%Y-%m-%d %H:%M:%f', sent_at / 1000.0, 'unixepoch')) VIRTUAL
) STRICT;
CREATE INDEX notifications_incident ON notifications (incident_id, id);
CREATE INDEX notifications_created ON notifications (created_at, id);

-- One row a notifier in the words and order of skypunch 0.3.0, new columns after them; without address and params, which
-- may hold secrets.
CREATE VIEW notifiers_overview AS
SELECT
    n.id,
    n.name,
    n.enabled,
    n.type,
    COALESCE(s.pass_count, 0) AS pass_count,
    COALESCE(s.fail_count, 0) AS fail_count,
    n.tenantid,
    s.last_sent_at_utc AS last_sent,
    s.last_failed_at_utc AS last_failed,
    s.last_answer
FROM notifiers n
LEFT JOIN notifier_status s ON s.notifier_id = n.id;

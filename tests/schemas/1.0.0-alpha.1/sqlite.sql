-- The schema of skypunch 1.0.0-alpha.1 (migrations/sqlite), with rows.
CREATE TABLE __diesel_schema_migrations (
    version VARCHAR(50) NOT NULL PRIMARY KEY,
    run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);

-- 0001_definitions
-- What people write. STRICT refuses a value of the wrong type where it is typed. AUTOINCREMENT: ids are never reused.
-- Everything here works in the sqlite3 shell of Debian 12 (3.40).
CREATE TABLE targets (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    tenantid TEXT NOT NULL DEFAULT '0',
    url TEXT NOT NULL,
    method TEXT NOT NULL DEFAULT 'GET',
    headers TEXT NULL,
    body TEXT NULL,
    authn TEXT NOT NULL DEFAULT 'NONE',
    authn_parms TEXT NULL,
    credential TEXT NULL,
    pass_result TEXT NOT NULL DEFAULT '200',
    frequency_ms INTEGER NOT NULL DEFAULT 60000,
    timeout_ms INTEGER NULL,
    fail_after INTEGER NOT NULL DEFAULT 1,
    recover_after INTEGER NOT NULL DEFAULT 1,
    redirects INTEGER NOT NULL DEFAULT 0,
    tls_ca TEXT NULL,
    tls_verify INTEGER NOT NULL DEFAULT TRUE,
    tls_server_name TEXT NULL,
    host TEXT NULL,
    tags TEXT NULL,
    parent TEXT NULL,
    enabled INTEGER NOT NULL DEFAULT TRUE,
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
    created_at_utc TEXT GENERATED ALWAYS AS (strftime('%Y-%m-%d %H:%M:%f', created_at / 1000.0, 'unixepoch')) VIRTUAL,
    updated_at_utc TEXT GENERATED ALWAYS AS (strftime('%Y-%m-%d %H:%M:%f', updated_at / 1000.0, 'unixepoch')) VIRTUAL,
    UNIQUE (tenantid, name)
) STRICT;

CREATE TABLE credentials (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    tenantid TEXT NOT NULL DEFAULT '0',
    type TEXT NOT NULL,
    params TEXT NULL,
    enabled INTEGER NOT NULL DEFAULT TRUE,
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
    created_at_utc TEXT GENERATED ALWAYS AS (strftime('%Y-%m-%d %H:%M:%f', created_at / 1000.0, 'unixepoch')) VIRTUAL,
    updated_at_utc TEXT GENERATED ALWAYS AS (strftime('%Y-%m-%d %H:%M:%f', updated_at / 1000.0, 'unixepoch')) VIRTUAL,
    UNIQUE (tenantid, name)
) STRICT;

-- Bumped by every change of a definition, whoever makes it: what the daemon looks at once a second.
CREATE TABLE revision (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO revision (id, revision) VALUES (1, 1);
CREATE TRIGGER targets_insert AFTER INSERT ON targets BEGIN UPDATE revision SET revision = revision + 1; END;
CREATE TRIGGER targets_update AFTER UPDATE ON targets BEGIN UPDATE revision SET revision = revision + 1; END;
CREATE TRIGGER targets_delete AFTER DELETE ON targets BEGIN UPDATE revision SET revision = revision + 1; END;
CREATE TRIGGER credentials_insert AFTER INSERT ON credentials BEGIN UPDATE revision SET revision = revision + 1; END;
CREATE TRIGGER credentials_update AFTER UPDATE ON credentials BEGIN UPDATE revision SET revision = revision + 1; END;
CREATE TRIGGER credentials_delete AFTER DELETE ON credentials BEGIN UPDATE revision SET revision = revision + 1; END;
INSERT INTO __diesel_schema_migrations (version) VALUES ('0001');

-- 0002_status
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
INSERT INTO __diesel_schema_migrations (version) VALUES ('0002');

-- 0003_daemon
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
INSERT INTO __diesel_schema_migrations (version) VALUES ('0003');

-- 0004_overview
-- One row a target in the words and order of skypunch 0.3.0 (times are UTC, frequency and timeout in seconds), new columns
-- after them. authn_parms is left out: it holds secrets.
CREATE VIEW targets_overview AS
SELECT
    t.id,
    t.name,
    t.tenantid,
    COALESCE(s.status, 'NEW') AS status,
    s.status_description,
    COALESCE(s.previous_status, 'NEW') AS previous_status,
    s.last_updated_utc AS last_updated,
    t.url,
    t.method,
    t.authn,
    t.pass_result,
    t.frequency_ms / 1000.0 AS frequency,
    COALESCE(t.timeout_ms, CASE WHEN t.frequency_ms < 10000 THEN t.frequency_ms ELSE 10000 END) / 1000.0 AS timeout,
    COALESCE(s.pass_count, 0) AS pass_count,
    COALESCE(s.fail_count, 0) AS fail_count,
    COALESCE(s.count200, 0) AS count200,
    COALESCE(s.count300, 0) AS count300,
    COALESCE(s.count400, 0) AS count400,
    COALESCE(s.count500, 0) AS count500,
    COALESCE(s.network_fails, 0) AS network_fails,
    COALESCE(s.repeated_fails, 0) AS repeated_fails,
    t.enabled,
    s.reason,
    COALESCE(s.unknown_count, 0) AS unknown_count,
    COALESCE(s.missed_count, 0) AS missed_count,
    s.last_latency_us / 1000.0 AS last_latency_ms,
    s.certificate_expires_at_utc AS certificate_expires,
    s.incident_id,
    s.incident_started_at_utc AS incident_started
FROM targets t
LEFT JOIN target_status s ON s.target_id = t.id;
INSERT INTO __diesel_schema_migrations (version) VALUES ('0004');

-- 0005_notifiers
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
INSERT INTO __diesel_schema_migrations (version) VALUES ('0005');

-- 0006_incident_names
-- Whose incident it is, as that was called when it began: a target may be removed, its incidents stay.
ALTER TABLE incidents ADD COLUMN subject_name TEXT NOT NULL DEFAULT '';
ALTER TABLE incidents ADD COLUMN tenantid TEXT NOT NULL DEFAULT '';
UPDATE incidents SET (subject_name, tenantid) = (SELECT t.name, t.tenantid FROM targets t WHERE t.id = incidents.subject_id)
WHERE subject_kind = 'target' AND subject_id IN (SELECT id FROM targets);
INSERT INTO __diesel_schema_migrations (version) VALUES ('0006');

-- rows
INSERT INTO targets (id, name, tenantid, url, method, headers, body, authn, authn_parms, credential, pass_result, frequency_ms,
    timeout_ms, fail_after, recover_after, redirects, tls_verify, host, tags, parent, enabled, created_at, updated_at)
VALUES (3, 'shop', '7', 'https://shop.example/', 'POST', 'Accept: text/html', 'it''s — "quoted"', 'BASIC', 'user=u,password=p',
    NULL, '200-299', 30000, 5000, 2, 3, 1, 0, 'other.example', 'web,prod', NULL, 1, 1795348800000, 1795348800001);
INSERT INTO targets (id, name, url) VALUES (9, 'plain', 'http://plain.example/');
INSERT INTO credentials (id, name, type, params, created_at) VALUES (2, 'cloud', 'OPENSTACK', 'auth_url=http://k,user_id=u', 5);
INSERT INTO notifiers (id, name, type, address, params, match_tags, events, remind_ms)
VALUES (4, 'ops', 'SMTP', 'ops@example.com', 'server=mail.example.com', 'prod', 'fail,recovery', 3600000);
INSERT INTO target_status (target_id, status, previous_status, status_description, reason, last_updated, pass_count, fail_count,
    unknown_count, missed_count, count200, count300, count400, count500, network_fails, repeated_fails, repeated_passes,
    last_latency_us, certificate_expires_at, incident_id, incident_started_at, conclusive_status, imported_count, pruned_count,
    thinned_count, writer, number)
VALUES (3, 'FAIL', 'PASS', '503 is not in 200-299', 'status', 1795348800000, 10, 2, 1, 4, 10, 0, 0, 2, 0, 2, 0, 1500, NULL,
    912386563040178177, 1795348790000, 'FAIL', 5, 6, 1, 77, 8);
INSERT INTO results (id, target_id, due_at, started_at, lateness_us, verdict, reason, description, status_code, latency_us,
    connect_us, body_bytes, incident_id)
VALUES (912386563040178178, 3, 1795348800000, 1795348800001, 120, 'FAIL', 'status', '503 is not in 200-299', 503, 1500, 100, 612,
    912386563040178177);
INSERT INTO incidents (id, subject_kind, subject_id, reason, description, started_at, first_trace, last_good_trace, subject_name,
    tenantid)
VALUES (912386563040178177, 'target', 3, 'status', '503 is not in 200-299', 1795348790000, '{"steps":[]}', NULL, 'shop', '7');
INSERT INTO notifier_status (notifier_id, pass_count, fail_count, last_sent_at, version) VALUES (4, 1, 0, 1795348791000, 1);
INSERT INTO notifications (id, notifier_id, notifier_name, incident_id, target_id, target_name, event, number, state, message_id,
    attempts, created_at, sent_at, answer, version)
VALUES (912386563040178179, 4, 'ops', 912386563040178177, 3, 'shop', 'fail', 1, 'sent', '<a@b>', 1, 1795348790000, 1795348791000,
    '250 ok', 2);
INSERT INTO writers (writer, last_number) VALUES (77, 8);

-- The schema of skypunch 1.0.0-alpha.1 (migrations/mysql), with rows.
CREATE TABLE __diesel_schema_migrations (
    version VARCHAR(50) NOT NULL PRIMARY KEY,
    run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);

-- 0001_definitions
-- What people write. MySQL commits each DDL statement by itself, so every statement can be run twice.
-- Names compare byte by byte (utf8mb4_bin). No triggers: they would need rights that a plain user does not have.
CREATE TABLE IF NOT EXISTS targets (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name VARCHAR(255) NOT NULL,
    tenantid VARCHAR(255) NOT NULL DEFAULT '0',
    url TEXT NOT NULL,
    method VARCHAR(32) NOT NULL DEFAULT 'GET',
    headers TEXT NULL,
    body MEDIUMTEXT NULL,
    authn VARCHAR(32) NOT NULL DEFAULT 'NONE',
    authn_parms TEXT NULL,
    credential VARCHAR(255) NULL,
    pass_result VARCHAR(255) NOT NULL DEFAULT '200',
    frequency_ms BIGINT NOT NULL DEFAULT 60000,
    timeout_ms BIGINT NULL,
    fail_after BIGINT NOT NULL DEFAULT 1,
    recover_after BIGINT NOT NULL DEFAULT 1,
    redirects BIGINT NOT NULL DEFAULT 0,
    tls_ca TEXT NULL,
    tls_verify BOOLEAN NOT NULL DEFAULT TRUE,
    tls_server_name VARCHAR(255) NULL,
    host VARCHAR(255) NULL,
    tags TEXT NULL,
    parent VARCHAR(255) NULL,
    enabled BOOLEAN NOT NULL DEFAULT TRUE,
    created_at BIGINT NOT NULL DEFAULT (CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)),
    updated_at BIGINT NOT NULL DEFAULT (CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)),
    created_at_utc DATETIME(3) GENERATED ALWAYS AS ('1970-01-01 00:00:00' + INTERVAL created_at * 1000 MICROSECOND) VIRTUAL,
    updated_at_utc DATETIME(3) GENERATED ALWAYS AS ('1970-01-01 00:00:00' + INTERVAL updated_at * 1000 MICROSECOND) VIRTUAL,
    UNIQUE KEY targets_name (tenantid, name)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS credentials (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name VARCHAR(255) NOT NULL,
    tenantid VARCHAR(255) NOT NULL DEFAULT '0',
    type VARCHAR(32) NOT NULL,
    params TEXT NULL,
    enabled BOOLEAN NOT NULL DEFAULT TRUE,
    created_at BIGINT NOT NULL DEFAULT (CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)),
    updated_at BIGINT NOT NULL DEFAULT (CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)),
    created_at_utc DATETIME(3) GENERATED ALWAYS AS ('1970-01-01 00:00:00' + INTERVAL created_at * 1000 MICROSECOND) VIRTUAL,
    updated_at_utc DATETIME(3) GENERATED ALWAYS AS ('1970-01-01 00:00:00' + INTERVAL updated_at * 1000 MICROSECOND) VIRTUAL,
    UNIQUE KEY credentials_name (tenantid, name)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
INSERT INTO __diesel_schema_migrations (version) VALUES ('0001');

-- 0002_status
-- What the daemon writes: where each target stands, what each probe saw, what went wrong and for how long.
-- Counters: pass_count + fail_count + unknown_count = imported_count + pruned_count + thinned_count + rows in results.
-- No foreign keys: a target that is deleted while its last results are on their way must not stop them.
-- node: the machine that made the id.
CREATE TABLE IF NOT EXISTS target_status (
    target_id BIGINT NOT NULL PRIMARY KEY,
    status VARCHAR(32) NOT NULL,
    previous_status VARCHAR(32) NOT NULL,
    status_description TEXT NOT NULL,
    reason VARCHAR(32) NULL,
    last_updated BIGINT NULL,
    last_updated_utc DATETIME(3) GENERATED ALWAYS AS ('1970-01-01 00:00:00' + INTERVAL last_updated * 1000 MICROSECOND) VIRTUAL,
    pass_count BIGINT NOT NULL DEFAULT 0,
    fail_count BIGINT NOT NULL DEFAULT 0,
    unknown_count BIGINT NOT NULL DEFAULT 0,
    missed_count BIGINT NOT NULL DEFAULT 0,
    count200 BIGINT NOT NULL DEFAULT 0,
    count300 BIGINT NOT NULL DEFAULT 0,
    count400 BIGINT NOT NULL DEFAULT 0,
    count500 BIGINT NOT NULL DEFAULT 0,
    network_fails BIGINT NOT NULL DEFAULT 0,
    repeated_fails BIGINT NOT NULL DEFAULT 0,
    repeated_passes BIGINT NOT NULL DEFAULT 0,
    last_latency_us BIGINT NULL,
    certificate_expires_at BIGINT NULL,
    certificate_expires_at_utc DATETIME(3) GENERATED ALWAYS AS ('1970-01-01 00:00:00' + INTERVAL certificate_expires_at * 1000 MICROSECOND) VIRTUAL,
    incident_id BIGINT NULL,
    incident_started_at BIGINT NULL,
    incident_started_at_utc DATETIME(3) GENERATED ALWAYS AS ('1970-01-01 00:00:00' + INTERVAL incident_started_at * 1000 MICROSECOND) VIRTUAL,
    conclusive_status VARCHAR(32) NOT NULL,
    imported_count BIGINT NOT NULL DEFAULT 0,
    pruned_count BIGINT NOT NULL DEFAULT 0,
    thinned_count BIGINT NOT NULL DEFAULT 0,
    writer BIGINT NOT NULL DEFAULT 0,
    number BIGINT NOT NULL DEFAULT 0
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS results (
    id BIGINT NOT NULL PRIMARY KEY,
    target_id BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    due_at_utc DATETIME(3) GENERATED ALWAYS AS ('1970-01-01 00:00:00' + INTERVAL due_at * 1000 MICROSECOND) VIRTUAL,
    started_at BIGINT NOT NULL,
    started_at_utc DATETIME(3) GENERATED ALWAYS AS ('1970-01-01 00:00:00' + INTERVAL started_at * 1000 MICROSECOND) VIRTUAL,
    lateness_us INT UNSIGNED NOT NULL,
    verdict VARCHAR(32) NOT NULL,
    reason VARCHAR(32) NULL,
    description TEXT NULL,
    status_code INT UNSIGNED NULL,
    latency_us INT UNSIGNED NOT NULL,
    resolve_us INT UNSIGNED NULL,
    connect_us INT UNSIGNED NULL,
    tls_us INT UNSIGNED NULL,
    auth_us INT UNSIGNED NULL,
    first_byte_us INT UNSIGNED NULL,
    body_us INT UNSIGNED NULL,
    body_bytes INT UNSIGNED NOT NULL,
    incident_id BIGINT NULL,
    node INT GENERATED ALWAYS AS ((id >> 12) & 1023) VIRTUAL,
    KEY results_target (target_id, id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS incidents (
    id BIGINT NOT NULL PRIMARY KEY,
    subject_kind VARCHAR(32) NOT NULL,
    subject_id BIGINT NOT NULL,
    reason VARCHAR(32) NOT NULL,
    description TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    started_at_utc DATETIME(3) GENERATED ALWAYS AS ('1970-01-01 00:00:00' + INTERVAL started_at * 1000 MICROSECOND) VIRTUAL,
    ended_at BIGINT NULL,
    ended_at_utc DATETIME(3) GENERATED ALWAYS AS ('1970-01-01 00:00:00' + INTERVAL ended_at * 1000 MICROSECOND) VIRTUAL,
    ended_by VARCHAR(32) NULL,
    first_trace MEDIUMTEXT NOT NULL,
    last_good_trace MEDIUMTEXT NULL,
    node INT GENERATED ALWAYS AS ((id >> 12) & 1023) VIRTUAL,
    KEY incidents_subject (subject_kind, subject_id, id),
    KEY incidents_ended (ended_at, id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
INSERT INTO __diesel_schema_migrations (version) VALUES ('0002');

-- 0003_daemon
-- writers: the last batch of each start of a daemon, so that a batch is written exactly once however often it is tried.
-- lease: which daemon works on this database.
CREATE TABLE IF NOT EXISTS writers (
    writer BIGINT NOT NULL PRIMARY KEY,
    last_number BIGINT NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS lease (
    id BIGINT NOT NULL PRIMARY KEY,
    host VARCHAR(255) NOT NULL,
    pid BIGINT NOT NULL,
    writer BIGINT NOT NULL,
    held_until BIGINT NOT NULL,
    held_until_utc DATETIME(3) GENERATED ALWAYS AS ('1970-01-01 00:00:00' + INTERVAL held_until * 1000 MICROSECOND) VIRTUAL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
INSERT INTO __diesel_schema_migrations (version) VALUES ('0003');

-- 0004_overview
-- One row a target in the words and order of skypunch 0.3.0 (times are UTC, frequency and timeout in seconds), new columns
-- after them. authn_parms is left out: it holds secrets.
CREATE OR REPLACE SQL SECURITY INVOKER VIEW targets_overview AS
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
-- Whom to tell. name, type, address and params are all that a person needs to type. Every statement can be run twice.
CREATE TABLE IF NOT EXISTS notifiers (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name VARCHAR(255) NOT NULL,
    tenantid VARCHAR(255) NOT NULL DEFAULT '0',
    type VARCHAR(32) NOT NULL,
    address TEXT NOT NULL,
    params TEXT NULL,
    enabled BOOLEAN NOT NULL DEFAULT TRUE,
    match_tags TEXT NULL,
    match_tenant VARCHAR(255) NULL,
    match_name VARCHAR(255) NULL,
    events VARCHAR(255) NULL,
    group_wait_ms BIGINT NOT NULL DEFAULT 5000,
    group_window_ms BIGINT NOT NULL DEFAULT 30000,
    rate_per_minute BIGINT NOT NULL DEFAULT 20,
    retry_for_ms BIGINT NOT NULL DEFAULT 86400000,
    remind_ms BIGINT NULL,
    templates TEXT NULL,
    created_at BIGINT NOT NULL DEFAULT (CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)),
    updated_at BIGINT NOT NULL DEFAULT (CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)),
    created_at_utc DATETIME(3) GENERATED ALWAYS AS ('1970-01-01 00:00:00' + INTERVAL created_at * 1000 MICROSECOND) VIRTUAL,
    updated_at_utc DATETIME(3) GENERATED ALWAYS AS ('1970-01-01 00:00:00' + INTERVAL updated_at * 1000 MICROSECOND) VIRTUAL,
    UNIQUE KEY notifiers_name (tenantid, name)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS notifier_status (
    notifier_id BIGINT NOT NULL PRIMARY KEY,
    pass_count BIGINT NOT NULL DEFAULT 0,
    fail_count BIGINT NOT NULL DEFAULT 0,
    last_sent_at BIGINT NULL,
    last_failed_at BIGINT NULL,
    last_answer TEXT NULL,
    version BIGINT NOT NULL DEFAULT 0,
    last_sent_at_utc DATETIME(3) GENERATED ALWAYS AS ('1970-01-01 00:00:00' + INTERVAL last_sent_at * 1000 MICROSECOND) VIRTUAL,
    last_failed_at_utc DATETIME(3) GENERATED ALWAYS AS ('1970-01-01 00:00:00' + INTERVAL last_failed_at * 1000 MICROSECOND) VIRTUAL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS notifications (
    id BIGINT NOT NULL PRIMARY KEY,
    notifier_id BIGINT NOT NULL,
    notifier_name VARCHAR(255) NOT NULL,
    incident_id BIGINT NOT NULL,
    target_id BIGINT NOT NULL,
    target_name VARCHAR(255) NOT NULL,
    event VARCHAR(32) NOT NULL,
    number BIGINT NOT NULL,
    state VARCHAR(32) NOT NULL,
    message_id VARCHAR(255) NULL,
    digest_id BIGINT NULL,
    attempts BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    attempted_at BIGINT NULL,
    sent_at BIGINT NULL,
    answer TEXT NULL,
    version BIGINT NOT NULL,
    created_at_utc DATETIME(3) GENERATED ALWAYS AS ('1970-01-01 00:00:00' + INTERVAL created_at * 1000 MICROSECOND) VIRTUAL,
    attempted_at_utc DATETIME(3) GENERATED ALWAYS AS ('1970-01-01 00:00:00' + INTERVAL attempted_at * 1000 MICROSECOND) VIRTUAL,
    sent_at_utc DATETIME(3) GENERATED ALWAYS AS ('1970-01-01 00:00:00' + INTERVAL sent_at * 1000 MICROSECOND) VIRTUAL,
    KEY notifications_incident (incident_id, id),
    KEY notifications_created (created_at, id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE OR REPLACE SQL SECURITY INVOKER VIEW notifiers_overview AS
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
-- Whose incident it is, as that was called when it began: a target may be removed, its incidents stay. Every statement can
-- be run twice; MySQL has no ADD COLUMN IF NOT EXISTS.
SET @statement = IF(
    (SELECT COUNT(*) FROM information_schema.columns
     WHERE table_schema = DATABASE() AND table_name = 'incidents' AND column_name = 'subject_name') = 0,
    'ALTER TABLE incidents ADD COLUMN subject_name VARCHAR(255) NOT NULL DEFAULT '''', ADD COLUMN tenantid VARCHAR(255) NOT NULL DEFAULT ''''',
    'DO 0');
PREPARE change_incidents FROM @statement;
EXECUTE change_incidents;
DEALLOCATE PREPARE change_incidents;
UPDATE incidents i JOIN targets t ON t.id = i.subject_id SET i.subject_name = t.name, i.tenantid = t.tenantid
WHERE i.subject_kind = 'target';
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

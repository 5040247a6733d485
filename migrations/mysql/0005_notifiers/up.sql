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

-- The readable times of the two tables that are written at each probe stand in views from now on: SQLite works out generated
-- columns at each write, a sixth of what a result costs. In results_overview times are UTC, durations in milliseconds, and
-- node is the machine that made the id. Every statement can be run twice.
CREATE OR REPLACE SQL SECURITY INVOKER VIEW targets_overview AS
SELECT
    t.id,
    t.name,
    t.tenantid,
    COALESCE(s.status, 'NEW') AS status,
    s.status_description,
    COALESCE(s.previous_status, 'NEW') AS previous_status,
    CAST('1970-01-01 00:00:00' + INTERVAL s.last_updated * 1000 MICROSECOND AS DATETIME(3)) AS last_updated,
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
    CAST('1970-01-01 00:00:00' + INTERVAL s.certificate_expires_at * 1000 MICROSECOND AS DATETIME(3)) AS certificate_expires,
    s.incident_id,
    CAST('1970-01-01 00:00:00' + INTERVAL s.incident_started_at * 1000 MICROSECOND AS DATETIME(3)) AS incident_started
FROM targets t
LEFT JOIN target_status s ON s.target_id = t.id;
CREATE OR REPLACE SQL SECURITY INVOKER VIEW results_overview AS
SELECT
    r.id,
    r.target_id,
    t.name,
    t.tenantid,
    CAST('1970-01-01 00:00:00' + INTERVAL r.due_at * 1000 MICROSECOND AS DATETIME(3)) AS due,
    CAST('1970-01-01 00:00:00' + INTERVAL r.started_at * 1000 MICROSECOND AS DATETIME(3)) AS started,
    r.lateness_us / 1000.0 AS lateness_ms,
    r.verdict,
    r.reason,
    r.description,
    r.status_code,
    r.latency_us / 1000.0 AS latency_ms,
    r.resolve_us / 1000.0 AS resolve_ms,
    r.connect_us / 1000.0 AS connect_ms,
    r.tls_us / 1000.0 AS tls_ms,
    r.auth_us / 1000.0 AS auth_ms,
    r.first_byte_us / 1000.0 AS first_byte_ms,
    r.body_us / 1000.0 AS body_ms,
    r.body_bytes,
    r.incident_id,
    (r.id >> 12) & 1023 AS node
FROM results r
LEFT JOIN targets t ON t.id = r.target_id;
SET @statement = IF(
    (SELECT COUNT(*) FROM information_schema.columns
     WHERE table_schema = DATABASE() AND table_name = 'target_status' AND column_name = 'last_updated_utc') = 1,
    'ALTER TABLE target_status DROP COLUMN last_updated_utc, DROP COLUMN certificate_expires_at_utc, DROP COLUMN incident_started_at_utc',
    'DO 0');
PREPARE change_target_status FROM @statement;
EXECUTE change_target_status;
DEALLOCATE PREPARE change_target_status;
SET @statement = IF(
    (SELECT COUNT(*) FROM information_schema.columns
     WHERE table_schema = DATABASE() AND table_name = 'results' AND column_name = 'due_at_utc') = 1,
    'ALTER TABLE results DROP COLUMN due_at_utc, DROP COLUMN started_at_utc, DROP COLUMN node',
    'DO 0');
PREPARE change_results FROM @statement;
EXECUTE change_results;
DEALLOCATE PREPARE change_results;

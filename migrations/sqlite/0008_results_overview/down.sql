DROP VIEW results_overview;
DROP VIEW targets_overview;
ALTER TABLE target_status ADD COLUMN last_updated_utc TEXT GENERATED ALWAYS AS (datetime(last_updated / 1000, 'unixepoch') || '.' || substr(last_updated % 1000 + 1000, 2)) VIRTUAL;
ALTER TABLE target_status ADD COLUMN certificate_expires_at_utc TEXT GENERATED ALWAYS AS (datetime(certificate_expires_at / 1000, 'unixepoch') || '.' || substr(certificate_expires_at % 1000 + 1000, 2)) VIRTUAL;
ALTER TABLE target_status ADD COLUMN incident_started_at_utc TEXT GENERATED ALWAYS AS (datetime(incident_started_at / 1000, 'unixepoch') || '.' || substr(incident_started_at % 1000 + 1000, 2)) VIRTUAL;
ALTER TABLE results ADD COLUMN due_at_utc TEXT GENERATED ALWAYS AS (datetime(due_at / 1000, 'unixepoch') || '.' || substr(due_at % 1000 + 1000, 2)) VIRTUAL;
ALTER TABLE results ADD COLUMN started_at_utc TEXT GENERATED ALWAYS AS (datetime(started_at / 1000, 'unixepoch') || '.' || substr(started_at % 1000 + 1000, 2)) VIRTUAL;
ALTER TABLE results ADD COLUMN node INTEGER GENERATED ALWAYS AS ((id >> 12) & 1023) VIRTUAL;
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

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

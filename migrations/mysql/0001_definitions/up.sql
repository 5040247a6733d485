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

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

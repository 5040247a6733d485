-- What was brought over from another database, by its name there: it is never brought over twice, whatever becomes of it.
CREATE TABLE IF NOT EXISTS imports (
    kind VARCHAR(32) NOT NULL,
    tenantid VARCHAR(255) NOT NULL,
    name VARCHAR(255) NOT NULL,
    old_id BIGINT NOT NULL,
    item_id BIGINT NOT NULL,
    source VARCHAR(255) NOT NULL,
    imported_at BIGINT NOT NULL,
    imported_at_utc DATETIME(3) GENERATED ALWAYS AS ('1970-01-01 00:00:00' + INTERVAL imported_at * 1000 MICROSECOND) VIRTUAL,
    PRIMARY KEY (kind, tenantid, name)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

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

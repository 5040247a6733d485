-- The tables of skypunch 0.3.0.
CREATE TABLE versions (major INT PRIMARY KEY, minor INT) CHARACTER SET utf8;
INSERT INTO versions VALUES (1, 0);
CREATE TABLE targets (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name VARCHAR(128) NOT NULL,
    tenantid VARCHAR(128) NOT NULL,
    status VARCHAR(50) NOT NULL,
    status_description VARCHAR(128) NULL,
    previous_status VARCHAR(50) NOT NULL,
    last_updated TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
    url VARCHAR(256) NOT NULL,
    method VARCHAR(128) NOT NULL,
    authn VARCHAR(128) NOT NULL,
    authn_parms VARCHAR(256) NULL,
    pass_result INT NOT NULL,
    frequency INT NOT NULL,
    timeout INT NOT NULL,
    pass_count BIGINT NOT NULL,
    fail_count BIGINT NOT NULL,
    count200 BIGINT NOT NULL,
    count300 BIGINT NOT NULL,
    count400 BIGINT NOT NULL,
    count500 BIGINT NOT NULL,
    network_fails BIGINT NOT NULL,
    repeated_fails BIGINT NOT NULL,
    enabled BOOLEAN NOT NULL
) CHARACTER SET utf8;
CREATE TABLE notifiers (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name VARCHAR(128) NOT NULL,
    type VARCHAR(50) NOT NULL,
    address VARCHAR(128) NOT NULL,
    params VARCHAR(128) NOT NULL,
    pass_count BIGINT NOT NULL,
    fail_count BIGINT NOT NULL,
    enabled BOOLEAN NOT NULL
) CHARACTER SET utf8;

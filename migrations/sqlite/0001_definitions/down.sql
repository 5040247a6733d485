DROP TABLE revision;
DROP TABLE credentials;
DROP TABLE targets;

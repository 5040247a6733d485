DROP TABLE incidents;
DROP TABLE results;
DROP TABLE target_status;

DROP TABLE spool;
DROP TABLE events;
DROP TABLE incidents;
DROP TABLE target_status;
DROP TABLE definitions;

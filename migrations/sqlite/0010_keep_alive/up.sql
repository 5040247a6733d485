-- How many probes one connection may serve; 0: each has a fresh one.
ALTER TABLE targets ADD COLUMN keep_alive INTEGER NOT NULL DEFAULT 0;

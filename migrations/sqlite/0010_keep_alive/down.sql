ALTER TABLE targets DROP COLUMN keep_alive;

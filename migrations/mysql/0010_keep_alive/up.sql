-- How many probes one connection may serve; 0: each has a fresh one.
-- Every statement can be run twice; MySQL has no ADD COLUMN IF NOT EXISTS.
SET @statement = IF(
    (SELECT COUNT(*) FROM information_schema.columns
     WHERE table_schema = DATABASE() AND table_name = 'targets' AND column_name = 'keep_alive') = 0,
    'ALTER TABLE targets ADD COLUMN keep_alive BIGINT NOT NULL DEFAULT 0',
    'DO 0');
PREPARE change_targets FROM @statement;
EXECUTE change_targets;
DEALLOCATE PREPARE change_targets;

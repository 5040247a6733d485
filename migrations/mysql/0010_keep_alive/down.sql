SET @statement = IF(
    (SELECT COUNT(*) FROM information_schema.columns
     WHERE table_schema = DATABASE() AND table_name = 'targets' AND column_name = 'keep_alive') = 1,
    'ALTER TABLE targets DROP COLUMN keep_alive',
    'DO 0');
PREPARE change_targets FROM @statement;
EXECUTE change_targets;
DEALLOCATE PREPARE change_targets;

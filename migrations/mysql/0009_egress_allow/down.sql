SET @statement = IF(
    (SELECT COUNT(*) FROM information_schema.columns
     WHERE table_schema = DATABASE() AND table_name = 'targets' AND column_name = 'egress_allow') = 1,
    'ALTER TABLE targets DROP COLUMN egress_allow',
    'DO 0');
PREPARE change_targets FROM @statement;
EXECUTE change_targets;
DEALLOCATE PREPARE change_targets;

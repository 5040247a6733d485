-- What the egress policy lets a target connect to, beside what it lets everybody: CIDRs and presets with commas between.
-- Every statement can be run twice; MySQL has no ADD COLUMN IF NOT EXISTS.
SET @statement = IF(
    (SELECT COUNT(*) FROM information_schema.columns
     WHERE table_schema = DATABASE() AND table_name = 'targets' AND column_name = 'egress_allow') = 0,
    'ALTER TABLE targets ADD COLUMN egress_allow TEXT NULL',
    'DO 0');
PREPARE change_targets FROM @statement;
EXECUTE change_targets;
DEALLOCATE PREPARE change_targets;

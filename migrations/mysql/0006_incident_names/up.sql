-- Whose incident it is, as that was called when it began: a target may be removed, its incidents stay. Every statement can
-- be run twice; MySQL has no ADD COLUMN IF NOT EXISTS.
SET @statement = IF(
    (SELECT COUNT(*) FROM information_schema.columns
     WHERE table_schema = DATABASE() AND table_name = 'incidents' AND column_name = 'subject_name') = 0,
    'ALTER TABLE incidents ADD COLUMN subject_name VARCHAR(255) NOT NULL DEFAULT '''', ADD COLUMN tenantid VARCHAR(255) NOT NULL DEFAULT ''''',
    'DO 0');
PREPARE change_incidents FROM @statement;
EXECUTE change_incidents;
DEALLOCATE PREPARE change_incidents;
UPDATE incidents i JOIN targets t ON t.id = i.subject_id SET i.subject_name = t.name, i.tenantid = t.tenantid
WHERE i.subject_kind = 'target';

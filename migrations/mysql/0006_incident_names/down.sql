SET @statement = IF(
    (SELECT COUNT(*) FROM information_schema.columns
     WHERE table_schema = DATABASE() AND table_name = 'incidents' AND column_name = 'subject_name') = 1,
    'ALTER TABLE incidents DROP COLUMN tenantid, DROP COLUMN subject_name',
    'DO 0');
PREPARE change_incidents FROM @statement;
EXECUTE change_incidents;
DEALLOCATE PREPARE change_incidents;

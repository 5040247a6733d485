ALTER TABLE incidents DROP COLUMN tenantid;
ALTER TABLE incidents DROP COLUMN subject_name;

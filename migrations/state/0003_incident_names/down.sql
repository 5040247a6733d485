ALTER TABLE incidents DROP COLUMN tenantid;
ALTER TABLE incidents DROP COLUMN target_name;

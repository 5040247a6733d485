-- Whose incident it is, as that was called when it began: a target may be removed, its incidents stay.
ALTER TABLE incidents ADD COLUMN subject_name TEXT NOT NULL DEFAULT '';
ALTER TABLE incidents ADD COLUMN tenantid TEXT NOT NULL DEFAULT '';
UPDATE incidents SET (subject_name, tenantid) = (SELECT t.name, t.tenantid FROM targets t WHERE t.id = incidents.subject_id)
WHERE subject_kind = 'target' AND subject_id IN (SELECT id FROM targets);

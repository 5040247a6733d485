-- As in the main database; existing rows take them from the event with which they began.
ALTER TABLE incidents ADD COLUMN subject_name TEXT NOT NULL DEFAULT '';
ALTER TABLE incidents ADD COLUMN tenantid TEXT NOT NULL DEFAULT '';
UPDATE incidents SET
    subject_name = COALESCE(
        (SELECT json_extract(e.facts, '$.name') FROM events e WHERE e.incident_id = incidents.id AND e.kind = 'opened'), ''),
    tenantid = COALESCE(
        (SELECT json_extract(e.facts, '$.tenant') FROM events e WHERE e.incident_id = incidents.id AND e.kind = 'opened'), '');

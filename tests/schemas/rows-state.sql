INSERT INTO definitions (id, definition) VALUES (3, '{"id": 3, "name": "shop", "tenantid": "7", "url": "https://shop.example/"}');
INSERT INTO notifiers (id, definition)
VALUES (4, '{"id": 4, "name": "ops", "type": "SMTP", "address": "ops@example.com", "params": "server=mail.example.com"}');
INSERT INTO credentials (id, definition)
VALUES (2, '{"id": 2, "name": "cloud", "type": "OPENSTACK", "params": "auth_url=http://k,user_id=u"}');
INSERT INTO target_status (target_id, status, previous_status, status_description, reason, last_updated, pass_count, fail_count,
    repeated_fails, incident_id, incident_started_at, conclusive_status, writer, number)
VALUES (3, 'FAIL', 'PASS', '503 is not in 200-299', 'status', 1795348800000, 10, 2, 2, 912386563040178177, 1795348790000, 'FAIL',
    77, 8);
INSERT INTO incidents (id, subject_kind, subject_id, reason, description, started_at, first_trace, subject_name, tenantid)
VALUES (912386563040178177, 'target', 3, 'status', '503 is not in 200-299', 1795348790000, '{"steps":[]}', 'shop', '7');
INSERT INTO events (id, incident_id, target_id, kind, at, facts)
VALUES (11, 912386563040178177, 3, 'opened', 1795348790000, '{"id": 3, "name": "shop", "tenant": "7"}');
INSERT INTO outbox (id, notifier_id, incident_id, state, done, finished_at, version, synced, body)
VALUES (912386563040178179, 4, 912386563040178177, 'waiting', 0, NULL, 1, 0, '{}');
INSERT INTO notifier_status (notifier_id, pass_count, fail_count, version, synced) VALUES (4, 1, 0, 1, 1);
UPDATE notify_cursor SET event_id = 11, mark = 'm' WHERE id = 1;
INSERT INTO kept (kind, id, body) VALUES ('flow', 3, '{}');

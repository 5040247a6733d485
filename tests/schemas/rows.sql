INSERT INTO targets (id, name, tenantid, url, method, headers, body, authn, authn_parms, credential, pass_result, frequency_ms,
    timeout_ms, fail_after, recover_after, redirects, tls_verify, host, tags, parent, enabled, created_at, updated_at)
VALUES (3, 'shop', '7', 'https://shop.example/', 'POST', 'Accept: text/html', 'it''s — "quoted"', 'BASIC', 'user=u,password=p',
    NULL, '200-299', 30000, 5000, 2, 3, 1, 0, 'other.example', 'web,prod', NULL, 1, 1795348800000, 1795348800001);
INSERT INTO targets (id, name, url) VALUES (9, 'plain', 'http://plain.example/');
INSERT INTO credentials (id, name, type, params, created_at) VALUES (2, 'cloud', 'OPENSTACK', 'auth_url=http://k,user_id=u', 5);
INSERT INTO notifiers (id, name, type, address, params, match_tags, events, remind_ms)
VALUES (4, 'ops', 'SMTP', 'ops@example.com', 'server=mail.example.com', 'prod', 'fail,recovery', 3600000);
INSERT INTO target_status (target_id, status, previous_status, status_description, reason, last_updated, pass_count, fail_count,
    unknown_count, missed_count, count200, count300, count400, count500, network_fails, repeated_fails, repeated_passes,
    last_latency_us, certificate_expires_at, incident_id, incident_started_at, conclusive_status, imported_count, pruned_count,
    thinned_count, writer, number)
VALUES (3, 'FAIL', 'PASS', '503 is not in 200-299', 'status', 1795348800000, 10, 2, 1, 4, 10, 0, 0, 2, 0, 2, 0, 1500, NULL,
    912386563040178177, 1795348790000, 'FAIL', 5, 6, 1, 77, 8);
INSERT INTO results (id, target_id, due_at, started_at, lateness_us, verdict, reason, description, status_code, latency_us,
    connect_us, body_bytes, incident_id)
VALUES (912386563040178178, 3, 1795348800000, 1795348800001, 120, 'FAIL', 'status', '503 is not in 200-299', 503, 1500, 100, 612,
    912386563040178177);
INSERT INTO incidents (id, subject_kind, subject_id, reason, description, started_at, first_trace, last_good_trace, subject_name,
    tenantid)
VALUES (912386563040178177, 'target', 3, 'status', '503 is not in 200-299', 1795348790000, '{"steps":[]}', NULL, 'shop', '7');
INSERT INTO notifier_status (notifier_id, pass_count, fail_count, last_sent_at, version) VALUES (4, 1, 0, 1795348791000, 1);
INSERT INTO notifications (id, notifier_id, notifier_name, incident_id, target_id, target_name, event, number, state, message_id,
    attempts, created_at, sent_at, answer, version)
VALUES (912386563040178179, 4, 'ops', 912386563040178177, 3, 'shop', 'fail', 1, 'sent', '<a@b>', 1, 1795348790000, 1795348791000,
    '250 ok', 2);
INSERT INTO writers (writer, last_number) VALUES (77, 8);

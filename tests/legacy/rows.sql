-- Rows as people and 0.3.0 left them; ORIGIN stands for http://HOST:PORT. Servers of those days took whatever came.
SET SESSION sql_mode = '';
-- The server's clock was five hours ahead: 17:00 there is 12:00 UTC.
SET SESSION time_zone = '+05:00';
INSERT INTO targets VALUES
    (0, 'shop', '0', 'PASS', 'OK', 'PASS', '2014-05-06 17:00:00', 'ORIGIN/shop', 'GET', 'NONE', '', 200, 1, 1, 1000, 7, 1000, 0, 3, 1, 3, 0, 1),
    (0, 'down', '0', 'FAIL', 'target status:503 != 200', 'FAIL', '2014-05-06 17:00:00', 'ORIGIN/down', 'GET', 'NONE', '', 200, 1, 1, 50, 20, 50, 0, 0, 20, 0, 11, 1),
    (0, 'private', '7', 'PASS', 'OK', 'FAIL', '2014-05-06 17:00:01', 'ORIGIN/private', 'HEAD', 'BASIC', 'user=freebeer,password=forall', 200, 60, 10, 5, 1, 5, 1, 0, 0, 0, 0, 1),
    (0, 'cloud', '0', 'FAIL', 'Openstack keystone auth failure 401 Unauthorized', 'FAIL', '2014-05-06 17:00:00', 'ORIGIN/cloud', 'GET', 'OPENSTACK', 'user=u,password=hunter2,osauthendpoint=http://127.0.0.1:9/v2.0/tokens,tenantid=t', 200, 300, 10, 0, 9, 0, 0, 0, 0, 9, 9, 0),
    (0, 'shop', '0', 'PASS', 'OK', 'PASS', '2014-05-06 17:00:00', 'ORIGIN/shop2', 'GET', 'NONE', '', 200, 60, 10, 1, 0, 1, 0, 0, 0, 0, 0, 1),
    (0, 'große Überwachung €', '0', 'PASS', 'OK', 'PASS', '2014-05-06 17:00:00', 'ORIGIN/a?b=c', 'GET', 'NONE', NULL, 200, 60, 10, 1, 0, 1, 0, 0, 0, 0, 0, 1),
    -- As data.sql of 0.3.0 had it: a word too many, all behind it one to the right.
    (0, 'Openstack Service', '0', 'NEW', NULL, '', 'NEW', 'ORIGIN/openstack', 'GET', 'OPENSTACK', 'user=xxxx,password=hunter2', 200, 10, 10, 0, 0, 0, 0, 0, 0, 0, 0, 1),
    (0, 'never', '0', 'NEW', NULL, 'NEW', '', 'ORIGIN/never', 'GET', 'NONE', '', 200, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 1),
    (0, 'no scheme', '0', 'FAIL', 'x', 'FAIL', '2014-05-06 17:00:00', 'www.example.com', 'GET', 'NONE', '', 200, 60, 10, 0, 5, 0, 0, 0, 0, 5, 5, 1),
    (0, 'bellbell', '0', 'PASS', 'OK', 'PASS', '2014-05-06 17:00:00', 'ORIGIN/bell', 'GET', 'NONE', '', 200, 60, 10, 1, 0, 1, 0, 0, 0, 0, 0, 1);
UPDATE targets SET name = CONCAT('bell', CHAR(7), 'bell'), last_updated = last_updated WHERE id = 10;
INSERT INTO notifiers VALUES
    (0, 'ops', 'SMTP', 'ops@example.com', 'user=u@example.com,password=hunter2,server=mail.invalid', 41, 2, 1),
    (0, 'boss', 'SMTP', 'boss@example.com', 'user=u@example.com,password=hunter2', 0, 9, 1);

-- Tables of Uptime Kuma 1.23 as far as they matter here, with rows as it writes them.
CREATE TABLE [user] (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, username VARCHAR(255) NOT NULL UNIQUE, password VARCHAR(255));
CREATE TABLE [proxy] (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, user_id INT NOT NULL, protocol VARCHAR(10) NOT NULL, host VARCHAR(255) NOT NULL, port SMALLINT NOT NULL);
CREATE TABLE [monitor] (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, name VARCHAR(150), active BOOLEAN DEFAULT 1 NOT NULL, user_id INTEGER, interval INTEGER DEFAULT 20 NOT NULL,
    url TEXT, type VARCHAR(20), weight INTEGER DEFAULT 2000, hostname VARCHAR(255), port INTEGER, created_date DATETIME DEFAULT (DATETIME('now')) NOT NULL,
    keyword VARCHAR(255), maxretries INTEGER NOT NULL DEFAULT 0, ignore_tls BOOLEAN NOT NULL DEFAULT 0, upside_down BOOLEAN NOT NULL DEFAULT 0,
    maxredirects INTEGER NOT NULL DEFAULT 10, accepted_statuscodes_json TEXT NOT NULL DEFAULT '["200-299"]', dns_resolve_type VARCHAR(5), dns_resolve_server VARCHAR(255),
    dns_last_result VARCHAR(255), retry_interval INTEGER NOT NULL DEFAULT 0, push_token VARCHAR(20), method TEXT NOT NULL DEFAULT 'GET', body TEXT, headers TEXT,
    basic_auth_user TEXT, basic_auth_pass TEXT, docker_host INTEGER, docker_container VARCHAR(255), proxy_id INTEGER, expiry_notification BOOLEAN DEFAULT 1,
    mqtt_topic TEXT, mqtt_success_message VARCHAR(255), mqtt_username VARCHAR(255), mqtt_password VARCHAR(255), database_connection_string VARCHAR(2000), database_query TEXT,
    auth_method VARCHAR(250), auth_domain TEXT, auth_workstation TEXT, grpc_url VARCHAR(255), grpc_protobuf TEXT, grpc_body TEXT, grpc_metadata TEXT, grpc_method TEXT,
    grpc_service_name TEXT, grpc_enable_tls BOOLEAN NOT NULL DEFAULT 0, radius_username VARCHAR(255), radius_password VARCHAR(255), radius_calling_station_id VARCHAR(50),
    radius_called_station_id VARCHAR(50), radius_secret VARCHAR(255), resend_interval INTEGER NOT NULL DEFAULT 0, packet_size INTEGER NOT NULL DEFAULT 56, game VARCHAR(255),
    http_body_encoding VARCHAR(25), description TEXT, tls_ca TEXT, tls_cert TEXT, tls_key TEXT, parent INTEGER, invert_keyword BOOLEAN NOT NULL DEFAULT 0, json_path TEXT,
    expected_value VARCHAR(255), kafka_producer_topic VARCHAR(255), kafka_producer_brokers TEXT, kafka_producer_ssl INTEGER, kafka_producer_allow_auto_topic_creation VARCHAR(255),
    kafka_producer_sasl_options TEXT, kafka_producer_message TEXT, oauth_client_id TEXT, oauth_client_secret TEXT, oauth_token_url TEXT, oauth_scopes TEXT, oauth_auth_method TEXT,
    timeout DOUBLE NOT NULL DEFAULT 0, gamedig_given_port_only BOOLEAN NOT NULL DEFAULT 1);
CREATE TABLE [notification] (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, name VARCHAR(255), config VARCHAR(255), active BOOLEAN DEFAULT 1 NOT NULL, user_id INTEGER NOT NULL, is_default BOOLEAN DEFAULT 0 NOT NULL);
CREATE TABLE [monitor_notification] (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, monitor_id INTEGER NOT NULL, notification_id INTEGER NOT NULL);
CREATE TABLE tag (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, name VARCHAR(255) NOT NULL, color VARCHAR(255) NOT NULL);
CREATE TABLE monitor_tag (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, monitor_id INTEGER NOT NULL, tag_id INTEGER NOT NULL, value TEXT);
INSERT INTO proxy (user_id, protocol, host, port) VALUES (1, 'http', '192.0.2.9', 3128);
INSERT INTO notification (name, config, user_id, is_default) VALUES
    ('chat', '{"name":"chat","type":"discord","discordWebhookUrl":"https://discord.com/api/webhooks/1/abc","discordUsername":"kuma","discordPrefixMessage":"@here"}', 1, 1),
    ('push', '{"name":"push","type":"ntfy","ntfyserverurl":"https://ntfy.sh","ntfytopic":"skypunch-example","ntfyPriority":5,"ntfyAuthenticationMethod":"accessToken","ntfyaccesstoken":"tk_abc"}', 1, 0);
INSERT INTO monitor (name, type, url, interval, retry_interval, maxretries, timeout, user_id, parent, http_body_encoding) VALUES
    ('Shop', 'group', NULL, 60, 60, 0, 0, 1, NULL, NULL),
    ('front page', 'http', 'https://shop.example/', 60, 60, 2, 48, 1, 1, 'json'),
    ('über', 'http', 'http://shop.example/über?a=1', 20, 20, 0, 0, 1, NULL, 'json'),
    ('db', 'mysql', NULL, 60, 60, 0, 0, 1, NULL, NULL);
UPDATE monitor SET active = 0, method = 'PUT', body = 'a=1', http_body_encoding = 'form', ignore_tls = 1, proxy_id = 1 WHERE name = 'über';
INSERT INTO monitor_notification (monitor_id, notification_id) VALUES (2, 1), (3, 1), (2, 2);
INSERT INTO tag (name, color) VALUES ('env', '#059669');
INSERT INTO monitor_tag (monitor_id, tag_id, value) VALUES (2, 1, 'prod, eu');

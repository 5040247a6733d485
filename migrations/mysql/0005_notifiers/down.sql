DROP VIEW IF EXISTS notifiers_overview;
DROP TABLE IF EXISTS notifications;
DROP TABLE IF EXISTS notifier_status;
DROP TABLE IF EXISTS notifiers;

DROP VIEW notifiers_overview;
DROP TABLE notifications;
DROP TABLE notifier_status;
DROP TABLE notifiers;

DROP TABLE kept;
DROP TABLE notify_cursor;
DROP TABLE notifier_status;
DROP TABLE outbox;
DROP TABLE notifiers;

DROP INDEX results_target;
CREATE INDEX results_target ON results (id >> 35, target_id);

ALTER TABLE targets DROP COLUMN egress_allow;

-- What the egress policy lets a target connect to, beside what it lets everybody: CIDRs and presets with commas between.
ALTER TABLE targets ADD COLUMN egress_allow TEXT NULL;

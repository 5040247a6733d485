DROP VIEW IF EXISTS targets_overview;

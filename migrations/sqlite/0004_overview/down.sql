DROP VIEW targets_overview;

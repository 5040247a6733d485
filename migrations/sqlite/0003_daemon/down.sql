DROP TABLE lease;
DROP TABLE writers;

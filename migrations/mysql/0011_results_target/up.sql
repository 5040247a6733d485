-- Nothing to do here: the index of MySQL and MariaDB is by (target, id).
DO 0;

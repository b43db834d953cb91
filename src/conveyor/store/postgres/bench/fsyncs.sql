-- PostgreSQL 18 counts the writing of the log where it counts all other I/O.
SELECT coalesce(sum(fsyncs), 0)::bigint FROM pg_stat_io WHERE object = 'wal'

-- Partitions are tables of their own.
SELECT coalesce(sum(pg_table_size(relid)) FILTER (WHERE relname = 'conveyor_job'), 0)::bigint,
       coalesce(sum(pg_indexes_size(relid)) FILTER (WHERE relname = 'conveyor_job'), 0)::bigint,
       coalesce(sum(n_dead_tup) FILTER (WHERE relname = 'conveyor_job'), 0)::bigint,
       coalesce(sum(pg_total_relation_size(relid)) FILTER (WHERE relname LIKE 'conveyor\_past%'), 0)::bigint
FROM pg_stat_user_tables

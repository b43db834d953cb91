-- How large our indexes are, and how many rows their tables have.
WITH home AS MATERIALIZED (SELECT relnamespace AS oid FROM pg_class WHERE oid = to_regclass('conveyor_meta'))
SELECT CAST(c.relname AS text), pg_relation_size(c.oid),
       greatest(coalesce(s.n_live_tup, 0), CAST(t.reltuples AS bigint), 0) + coalesce(s.n_dead_tup, 0),
       greatest(s.last_autovacuum, s.last_vacuum, s.last_autoanalyze, s.last_analyze) IS NOT NULL
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
JOIN home ON t.relnamespace = home.oid LEFT JOIN pg_stat_all_tables s ON s.relid = t.oid
WHERE c.relkind = 'i' AND t.relname LIKE 'conveyor\_%' AND c.relam = (SELECT oid FROM pg_am WHERE amname = 'btree')

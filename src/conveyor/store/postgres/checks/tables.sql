-- Our tables and what autovacuum makes of them, by their own settings where they have some. Counts are what the server
-- has gathered since it last lost its statistics; -1 stands for the age of what has never been.
WITH home AS MATERIALIZED (
    SELECT n.oid, n.nspname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = to_regclass('conveyor_meta')
),
ours AS MATERIALIZED (
    SELECT c.oid, c.relname, c.reltuples, home.name AS schema,
           coalesce(max(o.option_value) FILTER (WHERE o.option_name = 'autovacuum_enabled'), 'true') AS enabled,
           CAST(coalesce(max(o.option_value) FILTER (WHERE o.option_name = 'autovacuum_vacuum_threshold'),
                         current_setting('autovacuum_vacuum_threshold')) AS float8) AS threshold,
           CAST(coalesce(max(o.option_value) FILTER (WHERE o.option_name = 'autovacuum_vacuum_scale_factor'),
                         current_setting('autovacuum_vacuum_scale_factor')) AS float8) AS factor,
           CAST(coalesce(max(o.option_value) FILTER (WHERE o.option_name = 'fillfactor'), '100') AS float8) AS fill
    FROM pg_class c JOIN home ON c.relnamespace = home.oid
    LEFT JOIN LATERAL pg_options_to_table(c.reloptions) AS o ON true
    WHERE c.relkind = 'r' AND c.relname LIKE 'conveyor\_%'
    GROUP BY c.oid, c.relname, c.reltuples, home.name
)
SELECT CAST(ours.relname AS text), CAST(ours.enabled AS boolean), coalesce(s.n_dead_tup, 0),
       greatest(coalesce(s.n_live_tup, 0), CAST(ours.reltuples AS bigint), 0),
       ours.threshold + ours.factor * greatest(ours.reltuples, 0),
       coalesce(CAST(extract(epoch FROM clock_timestamp() - greatest(s.last_autovacuum, s.last_vacuum)) AS float8), -1),
       CAST(extract(epoch FROM clock_timestamp() - greatest(
           pg_postmaster_start_time(),
           (SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()))) AS float8),
       greatest(s.last_autovacuum, s.last_vacuum, s.last_autoanalyze, s.last_analyze) IS NOT NULL,
       EXISTS (SELECT FROM pg_stat_progress_vacuum p WHERE p.relid = ours.oid),
       coalesce(pg_relation_size(ours.oid), 0),
       CAST((SELECT 28 + sum(w.avg_width) FROM pg_stats w
             WHERE w.schemaname = ours.schema AND w.tablename = ours.relname) AS float8) * 100 / ours.fill
FROM ours LEFT JOIN pg_stat_all_tables s ON s.relid = ours.oid
ORDER BY ours.relname

-- Who holds a lock on a table of ours. What a session of another role does is told to members of pg_read_all_stats.
SELECT a.pid, coalesce(nullif(a.application_name, ''), 'no application_name'), coalesce(CAST(a.usename AS text), '?'),
       coalesce(a.state, 'hidden'), CAST(coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0) AS float8)
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.granted AND l.pid <> pg_backend_pid() AND c.relname LIKE 'conveyor\_%'
ORDER BY a.xact_start LIMIT 1

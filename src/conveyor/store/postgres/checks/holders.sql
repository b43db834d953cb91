-- Who keeps dead rows of this database from being removed: the oldest of each kind. What others' sessions do is told
-- to members of pg_read_all_stats only; of the rest it is known that they are there. A vacuum's own snapshot holds back
-- nothing. Ages in transactions, and in seconds where the server knows.
(
    SELECT CASE WHEN backend_type = 'walsender' THEN 'standby' ELSE 'session' END, CAST(pid AS text),
           coalesce(application_name, ''), coalesce(quote_ident(usename), ''), coalesce(state, ''),
           age(coalesce(backend_xmin, backend_xid)),
           CAST(extract(epoch FROM clock_timestamp() - xact_start) AS float8),
           CAST(extract(epoch FROM clock_timestamp() - query_start) AS float8),
           coalesce(query, '')
    FROM pg_stat_activity
    WHERE coalesce(backend_xmin, backend_xid) IS NOT NULL AND pid <> pg_backend_pid()
      AND backend_type <> 'parallel worker' AND pid NOT IN (SELECT pid FROM pg_stat_progress_vacuum)
      AND (datname = current_database() OR backend_type = 'walsender')
    ORDER BY backend_type = 'walsender', xact_start NULLS LAST LIMIT 20
)
UNION ALL
(
    SELECT 'prepared', quote_literal(gid), '', quote_ident(owner), '', age(transaction),
           CAST(extract(epoch FROM clock_timestamp() - prepared) AS float8), NULL, ''
    FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared LIMIT 20
)
UNION ALL
(
    SELECT 'slot', quote_literal(slot_name), coalesce(CAST(active_pid AS text), ''), '',
           CASE WHEN active THEN 'active' ELSE 'inactive' END, age(xmin), NULL, NULL, ''
    FROM pg_replication_slots WHERE xmin IS NOT NULL ORDER BY age(xmin) DESC LIMIT 20
)

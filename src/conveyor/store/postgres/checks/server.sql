-- What jobs depend on, and where each setting comes from; and for whom it would be changed.
SELECT 'role', quote_ident(current_user), ''
UNION ALL
SELECT 'database', quote_ident(current_database()), ''
UNION ALL
SELECT name, setting, source FROM pg_settings
WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit', 'transaction_read_only', 'autovacuum', 'track_counts',
               'in_hot_standby')

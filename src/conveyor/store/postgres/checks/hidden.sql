SELECT count(*), quote_ident(current_user) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_start IS NULL

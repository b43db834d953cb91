SELECT current_database(), pg_backend_pid()

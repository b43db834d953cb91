SELECT CAST(pg_advisory_lock({lock_key}) AS text)

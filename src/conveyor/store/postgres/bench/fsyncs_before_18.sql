SELECT wal_sync FROM pg_stat_wal

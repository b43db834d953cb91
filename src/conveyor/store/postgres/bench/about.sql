SELECT name, current_setting(name) FROM unnest(ARRAY[
    'server_version', 'fsync', 'synchronous_commit', 'full_page_writes', 'wal_sync_method', 'shared_buffers',
    'max_wal_size', 'autovacuum', 'autovacuum_naptime']) AS name

SELECT current_setting('fsync'), current_setting('synchronous_commit'), current_setting('full_page_writes'),
       current_setting('transaction_read_only'), CAST(pg_is_in_recovery() AS text)

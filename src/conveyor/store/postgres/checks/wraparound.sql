SELECT age(datfrozenxid), mxid_age(datminmxid), CAST(current_setting('autovacuum_freeze_max_age') AS bigint),
       CAST(current_setting('autovacuum_multixact_freeze_max_age') AS bigint)
FROM pg_database WHERE datname = current_database()

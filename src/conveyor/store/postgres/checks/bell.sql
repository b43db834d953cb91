-- Until when enqueues are to notify, in seconds from now. Idle workers ask for a few seconds at a time. Who may not
-- read it is told nothing here.
SELECT CAST(s.last_value - conveyor_now() AS float8) / 1000000
FROM pg_sequences s JOIN pg_namespace n ON n.nspname = s.schemaname
JOIN pg_class c ON c.relnamespace = n.oid AND c.oid = to_regclass('conveyor_bell')
WHERE s.sequencename = 'conveyor_bell' AND s.last_value IS NOT NULL

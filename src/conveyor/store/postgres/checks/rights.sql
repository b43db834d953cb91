-- What this role may not do with what is Conveyor's, of that which a worker does: it pauses no queue, and an outbox is
-- a matter of another store's workers.
WITH home AS MATERIALIZED (
    SELECT relnamespace AS oid FROM pg_class
    WHERE relname = 'conveyor_meta' AND relkind = 'r' AND pg_table_is_visible(oid)
)
SELECT 'TABLE', CAST(c.relname AS text), p.name
FROM pg_class c JOIN home ON c.relnamespace = home.oid
CROSS JOIN (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE')) AS p (name)
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname LIKE 'conveyor\_%'
  AND c.relname NOT LIKE 'conveyor\_outbox%' AND c.relname <> 'conveyor_relay'
  AND (p.name = 'SELECT' OR c.relname NOT IN ('conveyor_meta', 'conveyor_migration', 'conveyor_queue'))
  AND NOT has_table_privilege(c.oid, p.name)
UNION ALL
SELECT 'SEQUENCE', CAST(c.relname AS text), p.name
FROM pg_class c JOIN home ON c.relnamespace = home.oid CROSS JOIN (VALUES ('SELECT'), ('UPDATE')) AS p (name)
WHERE c.relkind = 'S' AND c.relname LIKE 'conveyor\_%' AND c.relname NOT LIKE 'conveyor\_outbox%'
  AND NOT has_sequence_privilege(c.oid, p.name)
UNION ALL
SELECT 'FUNCTION', CAST(CAST(p.oid AS regprocedure) AS text), 'EXECUTE'
FROM pg_proc p JOIN home ON p.pronamespace = home.oid
WHERE p.proname LIKE 'conveyor\_%' AND NOT has_function_privilege(p.oid, 'EXECUTE')
ORDER BY 1, 2, 3

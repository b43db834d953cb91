-- What each partition of history is made with, to be found by, and one lacks: its name, and the statement that mends it.
SELECT CAST(t.relname AS text), 'CREATE ' || wanted.kind || ' CONCURRENTLY ON ' || quote_ident(t.relname) || ' ' || wanted.text
FROM pg_inherits JOIN pg_class t ON t.oid = inhrelid
CROSS JOIN (VALUES
    ('UNIQUE INDEX', '(id)', '(id)'),
    ('INDEX', '(state, id)', '(state, id) WHERE state <> ''succeeded'''),
    ('INDEX', '(fingerprint, id)', '(fingerprint, id) WHERE fingerprint IS NOT NULL')
) AS wanted (kind, columns, text)
WHERE inhparent = to_regclass('conveyor_past') AND NOT EXISTS (
    SELECT FROM pg_index i
    WHERE i.indrelid = t.oid AND i.indisvalid AND strpos(pg_get_indexdef(i.indexrelid), wanted.columns) > 0
)
ORDER BY 1, 2

-- What Conveyor's tables are made of, in the schema where they are, but for the partitions of a table, which come and
-- go. A kind, the table that it belongs to, its own name, what it is, and whether it can be used.
WITH home AS MATERIALIZED (SELECT relnamespace AS oid FROM pg_class WHERE oid = to_regclass('conveyor_meta'))
SELECT 'table', CAST(c.relname AS text), CAST(c.relname AS text),
       CASE c.relpersistence WHEN 'p' THEN 'permanent' ELSE 'unlogged' END
       || CASE c.relkind WHEN 'p' THEN ', partitioned' ELSE '' END, true
FROM pg_class c, home
WHERE c.relnamespace = home.oid AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname LIKE 'conveyor\_%'
UNION ALL
SELECT 'column', CAST(c.relname AS text), CAST(a.attname AS text),
       format_type(a.atttypid, a.atttypmod) || coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '')
       || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END, true
FROM pg_class c JOIN home ON c.relnamespace = home.oid JOIN pg_attribute a ON a.attrelid = c.oid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname LIKE 'conveyor\_%'
  AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT CASE WHEN i.indisprimary THEN 'primary key' ELSE 'index' END, CAST(t.relname AS text), CAST(c.relname AS text),
       regexp_replace(pg_get_indexdef(c.oid), ' ON (ONLY )?\S+ USING', ' ON ' || quote_ident(t.relname) || ' USING'),
       i.indisvalid AND i.indisready
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
JOIN home ON t.relnamespace = home.oid
WHERE NOT t.relispartition AND t.relname LIKE 'conveyor\_%'
UNION ALL
SELECT 'sequence', CAST(c.relname AS text), CAST(c.relname AS text),
       format('MINVALUE %s MAXVALUE %s START %s', s.seqmin, s.seqmax, s.seqstart), true
FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN home ON c.relnamespace = home.oid
WHERE c.relname LIKE 'conveyor\_%'
UNION ALL
SELECT 'function', CAST(p.proname AS text), CAST(p.proname AS text),
       pg_get_function_arguments(p.oid) || ' RETURNS ' || pg_get_function_result(p.oid), true
FROM pg_proc p JOIN home ON p.pronamespace = home.oid
WHERE p.proname LIKE 'conveyor\_%'
ORDER BY 1, 2, 3

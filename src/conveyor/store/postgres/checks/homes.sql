-- The schemas of this database that have tables of ours, whether they are looked through, whether this role may use
-- them, and what is looked through.
SELECT quote_ident(n.nspname), n.oid = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('conveyor_migration')),
       has_schema_privilege(n.oid, 'USAGE'), current_setting('search_path'), quote_ident(current_user)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = 'conveyor_migration' AND c.relkind = 'r'
ORDER BY 1

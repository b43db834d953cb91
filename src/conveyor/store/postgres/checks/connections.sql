-- How many connections there may be, and how many there are: of the server, of this database, of this role. What is
-- kept for administrators is not counted as free. A row of a session of somebody else's says nothing of its kind.
WITH client AS MATERIALIZED (
    SELECT usename, datname, application_name FROM pg_stat_activity
    WHERE backend_type = 'client backend' OR (backend_type IS NULL AND datname IS NOT NULL)
)
SELECT 'server', '', CAST(current_setting('max_connections') AS bigint)
       - CAST(current_setting('superuser_reserved_connections') AS bigint)
       - CAST(coalesce(current_setting('reserved_connections', true), '0') AS bigint),
       (SELECT count(*) FROM client),
       (SELECT count(*) FROM client WHERE application_name = 'conveyor')
UNION ALL
SELECT 'database', quote_ident(datname), CAST(datconnlimit AS bigint), (SELECT count(*) FROM client WHERE client.datname = d.datname),
       (SELECT count(*) FROM client WHERE client.datname = d.datname AND application_name = 'conveyor')
FROM pg_database d WHERE datname = current_database() AND datconnlimit >= 0
UNION ALL
SELECT 'role', quote_ident(rolname), CAST(rolconnlimit AS bigint), (SELECT count(*) FROM client WHERE client.usename = r.rolname),
       (SELECT count(*) FROM client WHERE client.usename = r.rolname AND application_name = 'conveyor')
FROM pg_roles r WHERE rolname = current_user AND rolconnlimit >= 0

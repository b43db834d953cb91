-- Settings that lose data and that another session than this one would get: for a role that may enqueue or run jobs,
-- in this database or anywhere. The role's name is empty where all are meant.
SELECT coalesce(quote_ident(r.rolname), ''), coalesce(quote_ident(d.datname), ''), setting.name, setting.value
FROM pg_db_role_setting s
LEFT JOIN pg_roles r ON r.oid = s.setrole
LEFT JOIN pg_database d ON d.oid = s.setdatabase
CROSS JOIN LATERAL (
    SELECT split_part(pair, '=', 1) AS name, split_part(pair, '=', 2) AS value FROM unnest(s.setconfig) AS pair
) AS setting
WHERE setting.name = 'synchronous_commit' AND setting.value IN ('off', 'false', 'no', '0')
  AND (s.setdatabase = 0 OR d.datname = current_database())
  AND (s.setrole = 0 OR has_table_privilege(r.oid, to_regclass('conveyor_job'), 'UPDATE'))
ORDER BY 1, 2

SELECT datname FROM pg_database AS d
WHERE datname LIKE :like AND NOT EXISTS (SELECT 1 FROM pg_stat_activity AS a WHERE a.datname = d.datname)
ORDER BY datname

-- NOTIFY takes a database-wide lock through the commit's fsync, so it is sent only while some claimer is idle.
SELECT pg_notify('conveyor', rung.queue) FROM (SELECT DISTINCT queue FROM added) AS rung
WHERE (SELECT last_value FROM conveyor_bell) > (SELECT now FROM clock)

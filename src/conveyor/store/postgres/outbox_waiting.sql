-- How many, up to a limit, and for how long the oldest of all.
SELECT (SELECT count(*) FROM (SELECT 1 FROM conveyor_outbox WHERE target = :target LIMIT :limit) AS first),
       (SELECT conveyor_now() - put_at FROM conveyor_outbox WHERE target = :target ORDER BY position LIMIT 1)

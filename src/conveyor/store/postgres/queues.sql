-- A loose scan over the index: one look-up for each queue.
WITH RECURSIVE clock AS MATERIALIZED (SELECT conveyor_now() AS now),
found (name) AS (
    (SELECT j.queue FROM conveyor_job j ORDER BY j.queue LIMIT 1)
    UNION ALL
    SELECT (SELECT j.queue FROM conveyor_job j WHERE j.queue > found.name ORDER BY j.queue LIMIT 1)
    FROM found WHERE found.name IS NOT NULL
),
named AS (SELECT name FROM found WHERE name IS NOT NULL UNION SELECT name FROM conveyor_queue)
SELECT named.name, q.paused_at, clock.now, counts.*
FROM clock CROSS JOIN named LEFT JOIN conveyor_queue q ON q.name = named.name CROSS JOIN LATERAL ({queue_counts}) AS counts
ORDER BY named.name

WITH clock AS MATERIALIZED (SELECT conveyor_now() AS now),
named AS (SELECT CAST(:queue AS text) AS name)
SELECT named.name, q.paused_at, clock.now, counts.*
FROM clock CROSS JOIN named LEFT JOIN conveyor_queue q ON q.name = named.name CROSS JOIN LATERAL ({queue_counts}) AS counts

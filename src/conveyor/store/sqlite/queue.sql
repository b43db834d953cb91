WITH named AS (SELECT :queue AS name),
clock AS (SELECT :now AS now)
SELECT named.name, q.paused_at, clock.now, {queue_counts}
FROM clock CROSS JOIN named LEFT JOIN conveyor_queue q ON q.name = named.name

-- A loose scan over the priorities of each queue: one index look-up for each that is in use.
WITH RECURSIVE lane (queue, priority) AS (
    SELECT want.value, (SELECT max(j.priority) FROM conveyor_job j WHERE j.queue = want.value)
    FROM json_each(:queues) AS want
    WHERE NOT EXISTS (SELECT 1 FROM conveyor_queue q WHERE q.name = want.value)
    UNION ALL
    SELECT lane.queue, (SELECT j.priority FROM conveyor_job j
                        WHERE j.queue = lane.queue AND j.priority < lane.priority
                        ORDER BY j.priority DESC LIMIT 1)
    FROM lane WHERE lane.priority IS NOT NULL
)
SELECT queue, priority FROM lane
WHERE EXISTS (SELECT 1 FROM conveyor_job j
              WHERE j.queue = lane.queue AND j.priority = lane.priority AND j.run_after <= :now
                AND j.state = 'waiting')
ORDER BY priority DESC

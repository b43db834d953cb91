WITH RECURSIVE lane (queue, priority) AS (
    SELECT want.value, (SELECT max(j.priority) FROM conveyor_job j WHERE j.queue = want.value)
    FROM json_each(:queues) AS want
    UNION ALL
    SELECT lane.queue, (SELECT j.priority FROM conveyor_job j
                        WHERE j.queue = lane.queue AND j.priority < lane.priority
                        ORDER BY j.priority DESC LIMIT 1)
    FROM lane WHERE lane.priority IS NOT NULL
)
SELECT min((SELECT min(j.run_after) FROM conveyor_job j
            WHERE j.queue = lane.queue AND j.priority = lane.priority AND j.run_after > coalesce(:since, :now))) - :now
FROM lane

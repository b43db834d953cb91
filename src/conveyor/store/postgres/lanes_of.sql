-- The priorities of the queue named.name.
lane (priority) AS (
    (SELECT j.priority FROM conveyor_job j WHERE j.queue = named.name ORDER BY j.priority DESC LIMIT 1)
    UNION ALL
    SELECT next.priority FROM lane CROSS JOIN LATERAL (
        SELECT j.priority FROM conveyor_job j WHERE j.queue = named.name AND j.priority < lane.priority
        ORDER BY j.priority DESC LIMIT 1
    ) AS next
)

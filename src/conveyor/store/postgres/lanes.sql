-- The lanes that there are, which are the priorities of each queue: a loose scan, one look-up for each. Two
-- look-ups and not one condition with OR, for which the index would be walked.
lane (queue, priority) AS (
    (SELECT j.queue, j.priority FROM conveyor_job j ORDER BY j.queue, j.priority DESC LIMIT 1)
    UNION ALL
    SELECT next.queue, next.priority FROM lane CROSS JOIN LATERAL (
        (SELECT j.queue, j.priority FROM conveyor_job j WHERE j.queue = lane.queue AND j.priority < lane.priority
         ORDER BY j.priority DESC LIMIT 1)
        UNION ALL
        (SELECT j.queue, j.priority FROM conveyor_job j WHERE j.queue > lane.queue
         ORDER BY j.queue, j.priority DESC LIMIT 1)
        LIMIT 1
    ) AS next
)

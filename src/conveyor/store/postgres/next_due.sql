-- The clock is read once: a volatile function is no bound for an index.
WITH clock AS MATERIALIZED (SELECT now, coalesce(:since, now) AS since FROM (SELECT conveyor_now() AS now) AS the)
SELECT min(later.run_after) - (SELECT now FROM clock)
FROM unnest(:queue::text[]) AS want (queue) CROSS JOIN LATERAL (
    WITH RECURSIVE lane AS (
        (SELECT j.priority FROM conveyor_job j WHERE j.queue = want.queue ORDER BY j.priority DESC LIMIT 1)
        UNION ALL
        SELECT (SELECT j.priority FROM conveyor_job j
                WHERE j.queue = want.queue AND j.priority < lane.priority
                ORDER BY j.priority DESC LIMIT 1)
        FROM lane WHERE lane.priority IS NOT NULL
    )
    SELECT next.run_after FROM lane CROSS JOIN LATERAL (
        SELECT j.run_after FROM conveyor_job j
        WHERE j.queue = want.queue AND j.priority = lane.priority
          AND j.run_after > (SELECT since FROM clock)
        ORDER BY j.run_after LIMIT 1
    ) AS next
) AS later

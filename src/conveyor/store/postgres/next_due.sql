-- The clock is read once: a volatile function is no bound for an index. Each lane is looked into from that time on, and
-- not found by a scan over what there is: that would walk over the remains of all jobs that have ended.
WITH clock AS MATERIALIZED (SELECT now, coalesce(:since, now) AS since FROM (SELECT conveyor_now() AS now) AS the)
SELECT min(next.run_after), (SELECT now FROM clock)
FROM unnest(:queue::text[]) AS want (queue) CROSS JOIN generate_series(-100, 100) AS lane (priority)
CROSS JOIN LATERAL (
    SELECT j.run_after FROM conveyor_job j
    WHERE j.queue = want.queue AND j.priority = lane.priority::int2 AND j.run_after > (SELECT since FROM clock)
    ORDER BY j.run_after LIMIT 1
) AS next

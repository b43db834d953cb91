-- What waits behind the cursors, among what is due in some stretch of time: see sight.py.
WITH clock AS MATERIALIZED (SELECT conveyor_now() AS now),
found AS MATERIALIZED (
    SELECT lane.queue, lane.priority, due.run_after
    FROM unnest(:queue::text[], :priority::int2[], :until::int8[]) AS lane (queue, priority, until)
    CROSS JOIN LATERAL (
        SELECT j.run_after FROM conveyor_job j
        WHERE j.queue = lane.queue AND j.priority = lane.priority
          AND j.run_after >= :start AND j.run_after < least(lane.until, :end)
          AND j.state = 'waiting' AND j.task = ANY (:tasks::text[])
        ORDER BY j.run_after LIMIT 1
    ) AS due
)
SELECT (SELECT json_agg(json_build_array(queue, priority, run_after)) FROM found)::text, conveyor_now() - now FROM clock

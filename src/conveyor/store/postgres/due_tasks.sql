-- The first that would be claimed: what nobody takes stays at the head of its lane.
WITH clock AS MATERIALIZED (SELECT conveyor_now() AS now),
named AS (SELECT CAST(:queue AS text) AS name)
SELECT due.task, count(*), (SELECT now FROM clock) - min(due.run_after) FROM (
    SELECT before.task, before.run_after FROM clock CROSS JOIN named CROSS JOIN LATERAL (
        WITH RECURSIVE {lanes_of}
        SELECT j.task, j.run_after FROM lane CROSS JOIN LATERAL (
            SELECT j.task, j.run_after FROM conveyor_job j
            WHERE j.queue = named.name AND j.priority = lane.priority AND j.state = 'waiting'
              AND j.run_after <= clock.now
            ORDER BY j.run_after LIMIT :enough
        ) AS j
    ) AS before
    LIMIT :enough
) AS due
GROUP BY due.task ORDER BY min(due.run_after)

-- The first that would be claimed: what nobody takes stays at the head of its lane.
WITH clock AS MATERIALIZED (SELECT conveyor_now() AS now)
SELECT due.task, count(*), (SELECT now FROM clock) - min(due.run_after) FROM (
    SELECT j.task, j.run_after FROM conveyor_job j
    WHERE j.queue = :queue AND j.state = 'waiting' AND j.run_after <= (SELECT now FROM clock)
    ORDER BY j.priority DESC, j.run_after LIMIT :enough
) AS due
GROUP BY due.task ORDER BY min(due.run_after)

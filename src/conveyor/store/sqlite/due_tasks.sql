-- The first that would be claimed: what nobody takes stays at the head of its lane.
SELECT task, count(*), :now - min(run_after) FROM (
    SELECT j.task, j.run_after FROM conveyor_job j
    WHERE j.queue = :queue AND j.state = 'waiting' AND j.run_after <= :now
    ORDER BY j.priority DESC, j.run_after LIMIT :enough
) AS due
GROUP BY task ORDER BY min(run_after)

(SELECT count(*) FROM (SELECT 1 FROM conveyor_job j WHERE j.queue = named.name AND j.state = 'waiting'
 AND j.run_after <= clock.now LIMIT :enough) AS counted),
(SELECT count(*) FROM (SELECT 1 FROM conveyor_job j WHERE j.queue = named.name AND j.state = 'waiting'
 AND j.run_after > clock.now AND j.attempts IS NULL LIMIT :enough) AS counted),
(SELECT count(*) FROM (SELECT 1 FROM conveyor_job j WHERE j.queue = named.name AND j.state = 'waiting'
 AND j.run_after > clock.now AND j.attempts IS NOT NULL LIMIT :enough) AS counted),
(SELECT count(*) FROM (SELECT 1 FROM conveyor_job j WHERE j.queue = named.name AND j.state = 'running'
 LIMIT :enough) AS counted),
(SELECT min(head.run_after) FROM (
    WITH RECURSIVE lane AS (
        (SELECT j.priority FROM conveyor_job j WHERE j.queue = named.name ORDER BY j.priority DESC LIMIT 1)
        UNION ALL
        SELECT (SELECT j.priority FROM conveyor_job j WHERE j.queue = named.name AND j.priority < lane.priority
                ORDER BY j.priority DESC LIMIT 1)
        FROM lane WHERE lane.priority IS NOT NULL
    )
    SELECT (SELECT j.run_after FROM conveyor_job j
            WHERE j.queue = named.name AND j.priority = lane.priority AND j.state = 'waiting'
              AND j.run_after <= clock.now
            ORDER BY j.run_after LIMIT 1) AS run_after
    FROM lane
) AS head)

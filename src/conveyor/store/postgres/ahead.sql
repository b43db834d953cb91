SELECT count(*) FROM (
    SELECT 1 FROM conveyor_job j
    WHERE j.queue = :queue AND j.state = 'waiting' AND j.run_after <= (SELECT conveyor_now())
      AND (j.priority > :priority OR (j.priority = :priority AND j.run_after < :run_after))
    LIMIT :limit
) AS before

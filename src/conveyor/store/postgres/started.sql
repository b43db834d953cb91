-- Among what running jobs are: jobs are claimed from the head of their lane, so what waits behind so many others is none.
-- A running job was due by the clock of its claim, which another server's may be a little behind.
SELECT job.* FROM (WITH RECURSIVE {lanes} SELECT queue, priority FROM lane) AS lane CROSS JOIN LATERAL (
    SELECT * FROM conveyor_job j
    WHERE j.queue = lane.queue AND j.priority = lane.priority
      AND j.run_after <= (SELECT conveyor_now() + 60000000)
    ORDER BY j.run_after LIMIT 20000
) AS job

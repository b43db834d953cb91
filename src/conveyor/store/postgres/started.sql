-- Among what running jobs are: they were due by the clock of their claims, which another server's may be a little behind.
-- Why in order: see due.sql.
SELECT job.* FROM (WITH RECURSIVE {lanes} SELECT queue, priority FROM lane) AS lane CROSS JOIN LATERAL (
    SELECT * FROM conveyor_job j
    WHERE j.queue = lane.queue AND j.priority = lane.priority
      AND j.run_after <= (SELECT conveyor_now() + 60000000)
    ORDER BY j.run_after
) AS job

-- What is scheduled for later, lane by lane: what has come due is not passed over one by one. Why in order: see due.sql.
SELECT job.* FROM (WITH RECURSIVE {lanes} SELECT queue, priority FROM lane) AS lane CROSS JOIN LATERAL (
    SELECT * FROM conveyor_job j
    WHERE j.queue = lane.queue AND j.priority = lane.priority AND j.run_after > (SELECT conveyor_now())
    ORDER BY j.run_after
) AS job

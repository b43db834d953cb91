-- What has come due, lane by lane: what is scheduled for later is not passed over one by one. The order of each lane is
-- asked for though nobody needs it: else the planner makes one join of all lanes, and may read the table for it.
SELECT job.* FROM (WITH RECURSIVE {lanes} SELECT queue, priority FROM lane) AS lane CROSS JOIN LATERAL (
    SELECT * FROM conveyor_job j
    WHERE j.queue = lane.queue AND j.priority = lane.priority AND j.run_after <= (SELECT conveyor_now())
    ORDER BY j.run_after
) AS job

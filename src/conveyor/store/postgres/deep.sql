-- Whether so many jobs are due in any lane that it is quicker to read the table from end to end than to follow them.
EXISTS (
    SELECT FROM (WITH RECURSIVE {lanes} SELECT queue, priority FROM lane) AS lane CROSS JOIN LATERAL (
        SELECT FROM conveyor_job j
        WHERE j.queue = lane.queue AND j.priority = lane.priority
          AND j.run_after <= (SELECT conveyor_now() + 60000000)
        ORDER BY j.run_after OFFSET 20000 LIMIT 1
    ) AS job
)

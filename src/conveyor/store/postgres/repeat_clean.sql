-- The second half of a repeated enqueue, with a snapshot of its own: finished jobs leave the hot table, so the
-- insert alone cannot know that this one has been and gone.
WITH gone AS MATERIALIZED (
    SELECT job.tid FROM unnest(:id::uuid[]) AS given (i)
    CROSS JOIN LATERAL (SELECT 1 FROM conveyor_history h WHERE h.id = given.i LIMIT 1) AS past
    CROSS JOIN LATERAL (SELECT j.ctid AS tid FROM conveyor_job j WHERE j.id = given.i FOR UPDATE) AS job
)
DELETE FROM conveyor_job WHERE ctid = ANY (ARRAY(SELECT tid FROM gone))

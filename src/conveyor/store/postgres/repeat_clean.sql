-- The second half of a repeated enqueue, with a snapshot of its own: finished jobs leave the hot table, so the
-- insert alone cannot know that this one has been and gone.
WITH given AS MATERIALIZED (SELECT unnest(:id::uuid[]) AS id),
gone AS MATERIALIZED (
    SELECT job.tid FROM given
    CROSS JOIN LATERAL (SELECT h.id FROM conveyor_history h WHERE h.id = given.id) AS past
    CROSS JOIN LATERAL (SELECT j.ctid AS tid FROM conveyor_job j WHERE j.id = given.id FOR UPDATE) AS job
)
DELETE FROM conveyor_job WHERE ctid = ANY (ARRAY(SELECT tid FROM gone))

-- A row that somebody holds is passed over: progress is worth no wait. By id, for the reason in stop.sql.
WITH held AS MATERIALIZED (
    SELECT given.i, given.progress
    FROM unnest(:id::uuid[], :token::int8[], :runner::uuid[], :progress::bytea[]) AS given (i, k, r, progress)
    CROSS JOIN LATERAL (
        SELECT 1 FROM conveyor_job j
        WHERE j.id = given.i AND j.token = given.k AND j.runner = given.r AND j.state = 'running'
        FOR UPDATE SKIP LOCKED
    ) AS job
)
UPDATE conveyor_job j SET progress = held.progress
FROM held WHERE j.id = ANY (ARRAY(SELECT i FROM held)) AND j.id = held.i

-- By id and token through LATERAL, never by a plain join: a held snapshot ruins the planner's statistics, and a
-- join by hash or merge would then read the whole table.
WITH clock AS MATERIALIZED (SELECT conveyor_now() AS now),
held AS MATERIALIZED (
    SELECT given.outcome, given.crash, given.fence, given.run_time, given.result, given.record, job.*
    FROM unnest(:id::uuid[], :token::int8[], :runner::uuid[], :outcome::text[], :crash::int2[], :fence::int2[], :run_time::int8[], :result::bytea[], :record::bytea[])
         AS given (i, k, r, outcome, crash, fence, run_time, result, record)
    CROSS JOIN LATERAL (
        SELECT j.ctid AS tid, j.* FROM conveyor_job j
        WHERE j.id = given.i AND j.token = given.k AND j.runner = given.r AND j.state = 'running'
        FOR UPDATE
    ) AS job
),
gone AS (DELETE FROM conveyor_job WHERE ctid = ANY (ARRAY(SELECT tid FROM held)) RETURNING id),
kept AS (
    INSERT INTO conveyor_history (
        id, token, run_after, enqueued_at, started_at, last_attempted_at, finished_at, run_time, timeout, runner,
        priority, attempt, max_attempts, crashes, state, task, queue, args, attempts, result)
    SELECT id, token + fence, run_after, enqueued_at, started_at, last_attempted_at, clock.now, run_time, timeout,
           runner, priority, attempt, max_attempts, crashes + crash, outcome, task, queue, args,
           coalesce(record, attempts), result
    FROM held JOIN gone USING (id), clock
)
SELECT count(*) FROM gone

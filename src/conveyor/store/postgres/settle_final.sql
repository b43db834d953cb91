-- By id and token through LATERAL, never by a plain join: a held snapshot ruins the planner's statistics, and a
-- join by hash or merge would then read the whole table. What is not asked for is left out last: beside the id, it
-- would have each row looked up in the index of all that is asked. Flags: 1 a crash, 2 a new token, 4 the attempt back.
WITH clock AS MATERIALIZED (SELECT conveyor_now() AS now),
held AS MATERIALIZED (
    SELECT given.outcome, given.flags, given.run_time, given.result, given.record, given.reason,
           given.fingerprint, job.*
    FROM unnest(:id::uuid[], :token::int8[], :runner::uuid[], :outcome::text[], :flags::int2[], :run_time::int8[],
                :result::bytea[], :record::bytea[], :reason::text[], :fingerprint::text[])
         AS given (i, k, r, outcome, flags, run_time, result, record, reason, fingerprint)
    CROSS JOIN LATERAL (
        SELECT j.ctid AS tid, j.* FROM conveyor_job j
        WHERE j.id = given.i AND j.token = given.k AND j.runner = given.r AND j.state = 'running'
        FOR UPDATE
    ) AS job
),
gone AS (
    DELETE FROM conveyor_job
    WHERE ctid = ANY (ARRAY(SELECT tid FROM held WHERE :asked::int2 = 0 OR cancelled IS NOT NULL)) RETURNING id
),
kept AS (
    INSERT INTO conveyor_history ({history_columns})
    SELECT id, token + (flags >> 1 & 1), run_after, enqueued_at, started_at, last_attempted_at, clock.now, run_time,
           timeout, runner, priority, attempt - (flags >> 2 & 1), max_attempts, crashes + (flags & 1), outcome, task,
           queue, args, coalesce(record, attempts), result, extras,
           CASE WHEN until_start THEN NULL ELSE unique_key END,
           CASE WHEN outcome = 'cancelled' THEN coalesce(reason, cancelled) END, progress, fingerprint,
           CASE WHEN keep < 0 THEN NULL ELSE clock.now + coalesce(keep, 2592000000000) END
    FROM held JOIN gone USING (id), clock
)
SELECT count(*), array_agg(uuid_send(id)) FILTER (WHERE :asked::int2 = 1) FROM gone

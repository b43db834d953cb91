-- Whatever makes a job ready again sets its time to now: a claimer's lower bound may have passed the old one.
-- The rows to update are named by an array, the join only brings their values: a join alone would let the planner
-- read the whole table, which it does while its statistics say that there is little in it.
-- A job that is to be cancelled is not made ready again: the caller ends it.
WITH clock AS MATERIALIZED (SELECT {stamped} AS now),
held AS MATERIALIZED (
    SELECT given.i, given.due, given.delay, given.flags, given.record, job.tid
    FROM unnest(:id::uuid[], :token::int8[], :runner::uuid[], :due::int8[], :delay::int8[], :flags::int2[],
                :record::bytea[])
         AS given (i, k, r, due, delay, flags, record)
    CROSS JOIN LATERAL (
        SELECT j.ctid AS tid FROM conveyor_job j
        WHERE j.id = given.i AND j.token = given.k AND j.runner = given.r AND j.state = 'running'
          AND j.cancelled IS NULL
        FOR UPDATE
    ) AS job
),
added AS (
    UPDATE conveyor_job j
    SET state = 'waiting', token = j.token + (held.flags >> 1 & 1), runner = NULL,
        run_after = greatest(held.due, clock.now + held.delay), attempt = j.attempt - (held.flags >> 2 & 1),
        crashes = j.crashes + (held.flags & 1), attempts = coalesce(held.record, j.attempts)
    FROM held, clock WHERE j.ctid = ANY (ARRAY(SELECT tid FROM held)) AND j.id = held.i
    RETURNING j.queue, j.priority, j.run_after
),
rung AS (
    {told} WHERE (SELECT last_value FROM conveyor_bell) > (SELECT now FROM clock) AND {room_to_ring}
)
SELECT count(*), (SELECT count(*) FROM rung) FROM added

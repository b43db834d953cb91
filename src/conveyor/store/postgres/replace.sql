-- Locked in the order of ids, as all that locks several jobs does; then found by id, for the reason in stop.sql. Only
-- a job that waits is changed: it is as a new one then, but for its id, its token and when it was enqueued. Why the
-- latest is chosen is said in holders.sql.
WITH clock AS MATERIALIZED (
    SELECT {stamped} AS now, CASE WHEN CAST(:always AS integer) = 0 THEN {patience} END AS patience
),
held AS MATERIALIZED (
    SELECT wanted.* FROM (
        SELECT given.*, j.id AS holder FROM clock, {given_rows} AS given
        CROSS JOIN LATERAL (
            SELECT id FROM conveyor_job j WHERE j.unique_key = given.unique_key ORDER BY j.enqueued_at DESC LIMIT 1
        ) AS j
        ORDER BY j.id
    ) AS wanted
    CROSS JOIN LATERAL (
        SELECT 1 FROM conveyor_job j
        WHERE j.id = wanted.holder AND j.unique_key = wanted.unique_key AND j.state = 'waiting' AND j.cancelled IS NULL
        FOR UPDATE
    ) AS job
),
added AS (
    UPDATE conveyor_job j
    SET task = held.task, queue = held.queue, priority = held.priority, max_attempts = held.max_attempts,
        run_after = greatest(held.due, clock.now + held.delay), timeout = held.timeout,
        args = convert_to(held.args, 'UTF8'), keep = held.keep, extras = held.extras, until_start = held.until_start,
        expires_at = greatest(held.due, clock.now + held.delay) + held.expires,
        attempt = 0, attempts = NULL, crashes = 0, progress = NULL, started_at = NULL, last_attempted_at = NULL
    FROM held, clock WHERE j.id = ANY (ARRAY(SELECT holder FROM held)) AND j.id = held.holder
    RETURNING j.id, j.queue, j.priority, j.run_after
),
rung AS (
    {told} WHERE (CAST(:always AS integer) = 1 OR (SELECT last_value FROM conveyor_bell) > (SELECT now FROM clock))
      AND {room_to_ring}
)
SELECT encode(uuid_send(added.id), 'hex'), (SELECT count(*) FROM rung) FROM added

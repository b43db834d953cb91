-- The cursors move, and the jobs are made: in one statement, so that nobody who is stopped or dies in the middle can
-- hold up a tick, lose it, or double it. Who finds a cursor moved, or being moved, leaves it to the other.
WITH clock AS MATERIALIZED (SELECT {stamped} AS now),
mine AS MATERIALIZED (
    SELECT s.name, move.next_at, move.tick, move.job,
           CASE WHEN s.overlap = 'skip' AND EXISTS (SELECT FROM conveyor_job j WHERE j.id = s.job)
                THEN 0 ELSE move.jobs END AS jobs
    FROM json_to_recordset(CAST(CAST(:moves AS text) AS json)) AS move (
             name text, version bigint, due bigint, next_at bigint, tick bigint, jobs bigint, job uuid)
    JOIN conveyor_schedule s ON s.name = move.name AND s.version = move.version AND s.next_at = move.due
    WHERE s.paused_at IS NULL
    ORDER BY s.name
    FOR UPDATE OF s SKIP LOCKED
),
moved AS (
    UPDATE conveyor_schedule s
    SET next_at = CASE WHEN s.fired + mine.jobs >= s.times THEN NULL ELSE mine.next_at END, tick = mine.tick,
        version = s.version + 1, fired = s.fired + mine.jobs,
        job = CASE WHEN mine.jobs > 0 THEN mine.job ELSE s.job END
    FROM mine WHERE s.name = mine.name
),
added AS (
    INSERT INTO conveyor_job (id, task, queue, priority, run_after, enqueued_at, max_attempts, timeout, args,
                              expires_at, keep, extras, unique_key, until_start)
    SELECT given.id, given.task, given.queue, given.priority, start.at, clock.now, given.max_attempts, given.timeout,
           convert_to(given.args, 'UTF8'), start.at + given.expires, given.keep, given.extras, given.unique_key,
           given.until_start
    FROM clock, {given_rows} AS given
    JOIN mine ON mine.name = given.schedule AND mine.jobs > 0
    CROSS JOIN LATERAL (SELECT greatest(given.due, clock.now) + given.place AS at) AS start
    ORDER BY given.unique_key, given.place
    ON CONFLICT DO NOTHING
    RETURNING id, queue, priority, run_after
),
rung AS (
    {told} WHERE (SELECT last_value FROM conveyor_bell) > (SELECT now FROM clock) AND {room_to_ring}
)
SELECT mine.name, mine.jobs, (SELECT count(*) FROM rung) FROM mine

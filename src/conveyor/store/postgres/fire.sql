-- The cursors move, and the jobs are made: in one statement, so that nobody who is stopped or dies in the middle can
-- hold up a tick, lose it, or double it. Who finds a cursor moved, or being moved, leaves it to the other.
WITH clock AS MATERIALIZED (SELECT {stamped} AS now, {patience} AS patience),
mine AS MATERIALIZED (
    SELECT s.name, move.next_at, move.tick,
           NOT (s.overlap = 'skip' AND EXISTS (SELECT FROM conveyor_job j WHERE j.id = s.job)) AS fires
    FROM json_to_recordset(CAST(CAST(:moves AS text) AS json)) AS move (
             name text, version bigint, due bigint, next_at bigint, tick bigint)
    JOIN conveyor_schedule s ON s.name = move.name AND s.version = move.version AND s.next_at = move.due
    WHERE s.paused_at IS NULL
    ORDER BY s.name
    FOR UPDATE OF s SKIP LOCKED
),
added AS (
    {added_given}
    JOIN mine ON mine.name = given.schedule AND mine.fires
    CROSS JOIN LATERAL (SELECT greatest(given.due, clock.now) + given.place AS at) AS start
    ORDER BY given.unique_key, given.place
    ON CONFLICT DO NOTHING
    RETURNING id, queue, priority, run_after
),
made AS MATERIALIZED (
    SELECT mine.name, mine.next_at, mine.tick, count(added.id) AS jobs,
           (array_agg(added.id ORDER BY given.place DESC) FILTER (WHERE added.id IS NOT NULL))[1] AS job
    FROM mine LEFT JOIN {given_rows} AS given ON given.schedule = mine.name LEFT JOIN added ON added.id = given.id
    GROUP BY mine.name, mine.next_at, mine.tick
),
moved AS (
    UPDATE conveyor_schedule s
    SET next_at = CASE WHEN s.fired + made.jobs >= s.times THEN NULL ELSE made.next_at END, tick = made.tick,
        version = s.version + 1, fired = s.fired + made.jobs, job = coalesce(made.job, s.job)
    FROM made WHERE s.name = made.name
),
rung AS (
    {told} WHERE (SELECT last_value FROM conveyor_bell) > (SELECT now FROM clock) AND {room_to_ring}
)
SELECT made.name, made.jobs, (SELECT count(*) FROM rung) FROM made

-- A loose scan over the priorities of each queue, highest first, and in each a scan that both ends of the index
-- bound: jobs that are scheduled for later cost nothing. Nothing here orders by, or looks up, an id.
WITH clock AS MATERIALIZED (SELECT conveyor_now() AS now),
lease AS MATERIALIZED (
    SELECT 1 FROM conveyor_runner, clock WHERE id = :runner AND expires_at > clock.now
),
want AS MATERIALIZED (
    SELECT * FROM unnest(:queue::text[], :room::int8[]) AS want (queue, room)
    WHERE NOT EXISTS (SELECT 1 FROM conveyor_queue q WHERE q.name = want.queue)
),
picked AS MATERIALIZED (
    SELECT taken.tid FROM lease CROSS JOIN want CROSS JOIN LATERAL (
        WITH RECURSIVE lane AS (
            (SELECT j.priority FROM conveyor_job j WHERE j.queue = want.queue ORDER BY j.priority DESC LIMIT 1)
            UNION ALL
            SELECT (SELECT j.priority FROM conveyor_job j
                    WHERE j.queue = want.queue AND j.priority < lane.priority
                    ORDER BY j.priority DESC LIMIT 1)
            FROM lane WHERE lane.priority IS NOT NULL
        )
        SELECT due.tid FROM lane CROSS JOIN LATERAL (
            SELECT j.ctid AS tid FROM conveyor_job j
            WHERE j.queue = want.queue AND j.priority = lane.priority
              AND j.run_after <= (SELECT now FROM clock)
              AND j.state = 'waiting' AND j.task = ANY (:tasks::text[])
            ORDER BY j.run_after LIMIT want.room FOR UPDATE SKIP LOCKED
        ) AS due
        LIMIT want.room
    ) AS taken
),
claimed AS (
    UPDATE conveyor_job j
    SET state = 'running', runner = :runner, attempt = j.attempt + 1,
        token = greatest(j.token + 1, clock.now),
        started_at = coalesce(j.started_at, clock.now), last_attempted_at = clock.now,
        unique_key = CASE WHEN j.until_start THEN NULL ELSE j.unique_key END
    FROM clock WHERE j.ctid = ANY (ARRAY(SELECT tid FROM picked))
    RETURNING uuid_send(j.id), j.task, j.queue, j.priority, j.run_after, j.attempt, j.max_attempts, j.crashes, j.token,
              j.timeout, j.args, j.attempts, j.last_attempted_at, j.expires_at, j.extras, j.cancelled
)
-- The clock comes with each job, and once without any: how far the claimer has seen.
SELECT clock.now, claimed.* FROM clock LEFT JOIN claimed ON true

-- In each lane, which is one priority of one queue, from the claimer's cursor on: both ends of the index bound the scan,
-- so that neither the remains of ended jobs cost anything, nor what is scheduled for later. Nothing here orders by, or
-- looks up, an id. The last row is no job: its last column says what the claimer needs to move its cursors (sight.py).
WITH clock AS MATERIALIZED (SELECT conveyor_now() AS now),
lease AS MATERIALIZED (
    SELECT 1 FROM conveyor_runner, clock WHERE id = :runner AND expires_at > clock.now
),
want AS MATERIALIZED (
    SELECT want.*
    FROM lease, unnest(:queue::text[], :room::int8[], :first::int8[], :last::int8[]) AS want (queue, room, first, last)
    WHERE NOT EXISTS (SELECT 1 FROM conveyor_queue q WHERE q.name = want.queue)
),
picked AS MATERIALIZED (
    SELECT taken.tid FROM want CROSS JOIN LATERAL (
        SELECT due.tid
        FROM unnest((:priority::int2[])[want.first:want.last], (:since::int8[])[want.first:want.last])
             AS lane (priority, since)
        CROSS JOIN LATERAL (
            SELECT j.ctid AS tid FROM conveyor_job j
            WHERE j.queue = want.queue AND j.priority = lane.priority
              AND j.run_after >= lane.since AND j.run_after <= (SELECT now FROM clock)
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
SELECT * FROM claimed
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       json_build_object(
           'now', clock.now, 'picked', (SELECT count(*) FROM picked), 'took', conveyor_now() - clock.now,
           'xmin', pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
           'mark', CASE WHEN :note::int2 = 1 THEN pg_current_xact_id()::text::bigint END,
           'looked', (SELECT coalesce(json_agg(queue), '[]') FROM want))::text
FROM clock

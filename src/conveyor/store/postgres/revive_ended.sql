-- Whose unique key another job holds by now stays where it is. It may run once more at least, and never expires.
-- In the order of keys, as enqueues are, so that two never wait for each other in a circle.
WITH clock AS MATERIALIZED (SELECT {stamped} AS now),
picked AS MATERIALIZED (
    SELECT id FROM conveyor_history WHERE (SELECT {patience}) <> '' AND {where} ORDER BY id LIMIT :limit FOR UPDATE
),
added AS (
    INSERT INTO conveyor_job (
        id, token, run_after, enqueued_at, started_at, last_attempted_at, timeout, priority, attempt, max_attempts,
        task, queue, args, attempts, keep, extras, unique_key)
    SELECT id, token, clock.now, enqueued_at, started_at, last_attempted_at, timeout, priority, attempt,
           least(greatest(max_attempts, attempt + 1), 32767), task, queue, args, attempts,
           coalesce(delete_after - finished_at, -1), extras, unique_key
    FROM conveyor_history, clock WHERE id = ANY (ARRAY(SELECT picked.id FROM picked))
    ORDER BY unique_key, id
    ON CONFLICT DO NOTHING
    RETURNING id, queue, priority, run_after
),
gone AS (DELETE FROM conveyor_history WHERE id = ANY (ARRAY(SELECT added.id FROM added))),
rung AS (
    {told} WHERE (SELECT last_value FROM conveyor_bell) > (SELECT now FROM clock) AND {room_to_ring}
)
SELECT uuid_send(picked.id), convert_to(added.queue, 'UTF8'), (SELECT count(*) FROM rung)
FROM picked LEFT JOIN added USING (id) ORDER BY picked.id

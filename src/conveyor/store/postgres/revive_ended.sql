-- Whose unique key another job holds by now stays where it is. It may run once more at least, and never expires.
-- In the order of keys, as enqueues are, so that two never wait for each other in a circle.
WITH clock AS MATERIALIZED (SELECT conveyor_now() AS now),
picked AS MATERIALIZED (
    SELECT ctid AS tid, id FROM conveyor_history WHERE (SELECT {patience}) <> '' AND {where} ORDER BY id LIMIT :limit FOR UPDATE
),
added AS (
    INSERT INTO conveyor_job (
        id, token, run_after, enqueued_at, started_at, last_attempted_at, timeout, priority, attempt, max_attempts,
        task, queue, args, attempts, keep, extras, unique_key)
    SELECT id, token, clock.now, enqueued_at, started_at, last_attempted_at, timeout, priority, attempt,
           least(greatest(max_attempts, attempt + 1), 32767), task, queue, args, attempts,
           coalesce(delete_after - finished_at, -1), extras, unique_key
    FROM conveyor_history h, clock WHERE h.ctid = ANY (ARRAY(SELECT tid FROM picked))
    ORDER BY unique_key, id
    ON CONFLICT DO NOTHING
    RETURNING id, queue
),
gone AS (
    DELETE FROM conveyor_history h
    WHERE h.ctid = ANY (ARRAY(SELECT picked.tid FROM picked JOIN added USING (id)))
),
rung AS (
    SELECT pg_notify('conveyor', queue) FROM (SELECT DISTINCT queue FROM added) AS queues
    WHERE (SELECT last_value FROM conveyor_bell) > (SELECT now FROM clock)
)
SELECT uuid_send(picked.id), convert_to(added.queue, 'UTF8'), (SELECT count(*) FROM rung)
FROM picked LEFT JOIN added USING (id) ORDER BY picked.id

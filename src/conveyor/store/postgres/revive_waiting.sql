-- By id, for the reason in stop.sql.
WITH clock AS MATERIALIZED (SELECT {stamped} AS now),
picked AS MATERIALIZED (
    SELECT id FROM conveyor_job
    WHERE (SELECT {patience}) <> '' AND state = 'waiting' AND run_after > (SELECT now FROM clock) AND {where} ORDER BY id LIMIT :limit FOR UPDATE
),
added AS (
    UPDATE conveyor_job SET run_after = clock.now
    FROM clock WHERE id = ANY (ARRAY(SELECT id FROM picked)) RETURNING id, queue, priority, run_after
),
rung AS (
    {told} WHERE (SELECT last_value FROM conveyor_bell) > (SELECT now FROM clock) AND {room_to_ring}
)
SELECT uuid_send(id), convert_to(queue, 'UTF8'), (SELECT count(*) FROM rung) FROM added ORDER BY id

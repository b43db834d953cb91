-- In forms that every library carries: a text of JSON for all rows. The rows of one call are inserted in the order
-- of their unique keys, so that two calls never wait for each other in a circle.
-- A transaction of the user's keeps the patience that it has.
WITH clock AS MATERIALIZED (
    SELECT {stamped} AS now, CASE WHEN CAST(:always AS integer) = 0 THEN {patience} END AS patience
),
added AS (
    {added_given}
    CROSS JOIN LATERAL (SELECT greatest(given.due, clock.now + given.delay) + given.place AS at) AS start
    ORDER BY given.unique_key, given.place
    ON CONFLICT DO NOTHING
    RETURNING id, queue, priority, run_after
),
rung AS (
    {told} WHERE (CAST(:always AS integer) = 1 OR (SELECT last_value FROM conveyor_bell) > (SELECT now FROM clock))
      AND {room_to_ring}
)
SELECT encode(uuid_send(added.id), 'hex'), (SELECT count(*) FROM rung) FROM added

-- A text of JSON for all rows, which every library carries; each job is a text itself, and stays as it is.
WITH added AS (
    INSERT INTO conveyor_outbox (target, id, put_at, job)
    SELECT CAST(:target AS text), given.row ->> 0, conveyor_now(), given.row ->> 1
    FROM json_array_elements(CAST(CAST(:rows AS text) AS json)) WITH ORDINALITY AS given (row, place)
    ORDER BY given.place
    RETURNING 1
),
rung AS (SELECT pg_notify('conveyor', 'outbox') WHERE {room_to_ring})
SELECT CAST((SELECT count(*) FROM added) AS integer), CAST((SELECT count(*) FROM rung) AS integer)

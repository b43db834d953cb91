WITH gone AS (DELETE FROM conveyor_queue WHERE name = :queue RETURNING name)
SELECT pg_notify('conveyor', '- - ' || name) FROM gone WHERE {room_to_ring}

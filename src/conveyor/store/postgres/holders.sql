-- A transaction that keeps its snapshot may see two of a key: one that has ended elsewhere since, and its own, which
-- came later. Told by a time that no index has, so that the key's own index is used, whatever the planner thinks.
SELECT held.unique_key, encode(uuid_send(held.id), 'hex')
FROM json_array_elements_text(CAST(CAST(:keys AS text) AS json)) AS given (unique_key)
CROSS JOIN LATERAL (
    SELECT j.unique_key, j.id FROM conveyor_job j WHERE j.unique_key = given.unique_key
    ORDER BY j.enqueued_at DESC LIMIT 1
) AS held

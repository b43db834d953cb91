SELECT uuid_send(given.i) FROM unnest(:id::uuid[], :token::int8[]) AS given (i, k)
CROSS JOIN LATERAL (
    SELECT 1 FROM conveyor_history h WHERE h.id = given.i AND h.token = given.k AND h.state = 'cancelled' LIMIT 1
) AS found

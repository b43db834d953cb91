-- Of these, the ones whose outcome is written: the answer to an earlier settle may have been lost.
-- LIMIT keeps each look-up a look-up: without it the planner may hash the whole of both tables.
SELECT uuid_send(given.i) FROM unnest(:id::uuid[], :token::int8[]) AS given (i, k)
CROSS JOIN LATERAL (
    SELECT 1 FROM conveyor_history h WHERE h.id = given.i AND h.token = given.k
    UNION ALL
    SELECT 1 FROM conveyor_job j WHERE j.id = given.i AND j.token = given.k AND j.state = 'waiting'
    LIMIT 1
) AS found

-- Of these, the ones that are their runner's still: somebody rewrote them just when they were to be settled.
SELECT uuid_send(given.i) FROM unnest(:id::uuid[], :token::int8[], :runner::uuid[]) AS given (i, k, r)
CROSS JOIN LATERAL (
    SELECT 1 FROM conveyor_job j
    WHERE j.id = given.i AND j.token = given.k AND j.runner = given.r AND j.state = 'running' LIMIT 1
) AS found

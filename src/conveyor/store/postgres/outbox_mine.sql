-- Whether the turn is the caller's, and stays so for a while; nobody else's until the transaction is over.
SELECT number, set_config('enable_seqscan', 'off', true) || set_config('enable_bitmapscan', 'off', true)
FROM conveyor_relay
WHERE target = :target AND owner = :owner AND owned_until > conveyor_now() + :lasting
FOR UPDATE

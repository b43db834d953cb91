-- Whether the turn is the caller's, and stays so for a while; nobody else's until the transaction is over.
SELECT number
FROM conveyor_relay
WHERE target = :target AND owner = :owner AND owned_until > :now + :lasting

-- The turn is the caller's, unless it is somebody else's; nobody else's until the transaction is over.
UPDATE conveyor_relay SET owner = :owner, owned_until = :now + :lasting
WHERE owner = :owner OR owned_until <= :now
RETURNING 1

-- The turn is the caller's, unless it is somebody else's; nobody else's until the transaction is over.
INSERT INTO conveyor_relay AS relay (target, number, owner, owned_until)
VALUES (:target, 0, :owner, conveyor_now() + :lasting)
ON CONFLICT (target) DO UPDATE SET owner = excluded.owner, owned_until = excluded.owned_until
    WHERE relay.owner = excluded.owner OR relay.owned_until <= conveyor_now()
RETURNING 1

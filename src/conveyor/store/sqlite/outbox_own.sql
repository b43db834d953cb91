-- The turn is the caller's, unless it is somebody else's; nobody else's until the transaction is over. Numbers up to the
-- next time are the caller's, too. A turn that lasts too long is of a clock that was ahead, and has been set back.
INSERT INTO conveyor_relay AS relay (target, number, owner, owned_until)
VALUES (:target, :now, :owner, :now + :lasting)
ON CONFLICT (target) DO UPDATE
SET owner = excluded.owner, owned_until = excluded.owned_until, number = max(relay.number + :numbers, :now)
WHERE relay.owner = excluded.owner OR relay.owned_until NOT BETWEEN :now + 1 AND :now + :lasting
RETURNING number

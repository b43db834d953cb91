-- The turn is the caller's, unless it is somebody else's; nobody else's until the transaction is over. Numbers up to the
-- next time are the caller's, too. A turn that lasts too long is of a clock that was ahead, and has been set back.
-- In what follows in the transaction, the first rows of an index are to be read one by one: where the server does not
-- know yet how many there are, or believes that none is left, it would gather and sort all of them for each batch.
INSERT INTO conveyor_relay AS relay (target, number, owner, owned_until)
VALUES (:target, conveyor_now(), :owner, conveyor_now() + :lasting)
ON CONFLICT (target) DO UPDATE
SET owner = excluded.owner, owned_until = excluded.owned_until, number = greatest(relay.number + :numbers, conveyor_now())
WHERE relay.owner = excluded.owner OR relay.owned_until NOT BETWEEN conveyor_now() + 1 AND conveyor_now() + :lasting
RETURNING number, set_config('enable_seqscan', 'off', true) || set_config('enable_bitmapscan', 'off', true)

-- Where nobody has it, or its time is over; or where the holder of the token :over was tied to a session that has ended.
INSERT INTO conveyor_lock AS held (name, token, owner, holder, taken_at, expires_at)
SELECT :lock, clock.now, :owner, :holder, clock.now, clock.now + :ttl
FROM (SELECT conveyor_now() AS now, {patience}) AS clock
ON CONFLICT (name) DO UPDATE
SET token = greatest(held.token + 1, excluded.token), owner = excluded.owner, holder = excluded.holder, taken_at = excluded.taken_at,
    expires_at = excluded.expires_at, tied = NULL
WHERE held.expires_at <= excluded.taken_at
   OR CASE WHEN held.token = :over AND held.tied = {lock_boot} THEN pg_try_advisory_xact_lock({lock_key}) ELSE false END
RETURNING token

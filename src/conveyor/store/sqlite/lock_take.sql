-- Where nobody has it, or its time is over; or where the process that held the token :over has ended.
INSERT INTO conveyor_lock AS held (name, token, owner, holder, taken_at, expires_at, boot, runs_out, counted)
VALUES (:lock, :now, :owner, :holder, :now, :now + :ttl, :boot, :uptime + :ttl, :now)
ON CONFLICT (name) DO UPDATE
SET token = max(held.token + 1, excluded.token), owner = excluded.owner, holder = excluded.holder, taken_at = excluded.taken_at,
    expires_at = excluded.expires_at, boot = excluded.boot, runs_out = excluded.runs_out,
    counted = max(held.token + 1, excluded.token), tied = NULL
WHERE {lock_over} OR (held.token = :over AND held.tied = 1 AND conveyor_untied(:lock))
RETURNING token

-- Also where its time is over, as long as nobody else has taken it: the token tells.
UPDATE conveyor_lock
SET expires_at = :now + :ttl, boot = :boot, runs_out = :uptime + :ttl, counted = token, tied = CASE WHEN :tied THEN tied END
WHERE name = :lock AND token = :token AND expires_at > 0

-- Also where its time is over, as long as nobody else has taken it: the token tells.
UPDATE conveyor_lock SET expires_at = clock.now + :ttl, tied = CASE WHEN :tied THEN tied END
FROM (SELECT conveyor_now() AS now, {patience}) AS clock
WHERE name = :lock AND token = :token AND expires_at > 0

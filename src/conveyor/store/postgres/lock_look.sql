-- Who has it, for how long by now, and whether the session that the holder was tied to has ended.
SELECT held.token, held.holder, held.taken_at, clock.now,
       CASE WHEN held.tied = {lock_boot} THEN pg_try_advisory_xact_lock({lock_key}) ELSE false END
FROM conveyor_lock AS held, (SELECT conveyor_now() AS now) AS clock
WHERE held.name = :lock AND held.expires_at > clock.now

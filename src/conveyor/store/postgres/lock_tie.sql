-- From now on the end of the holder's session gives it away: but only if this session sees that one's lock, so that
-- neither a pooler nor another database's address can be mistaken for the store.
UPDATE conveyor_lock SET tied = {lock_boot}
WHERE name = :lock AND token = :token AND expires_at > 0 AND NOT pg_try_advisory_xact_lock({lock_key})

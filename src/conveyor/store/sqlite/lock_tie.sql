-- From now on the end of the holder's process gives it away.
UPDATE conveyor_lock SET tied = 1 WHERE name = :lock AND token = :token AND expires_at > 0

UPDATE conveyor_lock SET expires_at = 0, tied = NULL WHERE name = :lock AND token = :token AND expires_at > 0

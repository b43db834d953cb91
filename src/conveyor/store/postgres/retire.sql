UPDATE conveyor_runner SET expires_at = least(expires_at, conveyor_now()) WHERE id = :runner

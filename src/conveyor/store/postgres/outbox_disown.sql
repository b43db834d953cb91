UPDATE conveyor_relay SET owned_until = 0 WHERE target = :target AND owner = :owner

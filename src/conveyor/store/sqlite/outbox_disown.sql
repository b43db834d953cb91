UPDATE conveyor_relay SET owned_until = 0 WHERE owner = :owner

UPDATE conveyor_relay SET number = greatest(number + 1, conveyor_now()) WHERE target = :target RETURNING number

UPDATE conveyor_relay SET number = max(number + 1, :now) WHERE target = :target RETURNING number

UPDATE conveyor_relay SET number = max(number + 1, :now) RETURNING number

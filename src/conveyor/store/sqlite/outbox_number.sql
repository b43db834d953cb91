UPDATE conveyor_relay SET number = :number

UPDATE conveyor_meta SET value = :mark WHERE name = 'move'

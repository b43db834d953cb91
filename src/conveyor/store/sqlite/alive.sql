SELECT conveyor_alive(:runner)

SELECT conveyor_now()

SELECT set_config('conveyor.moving', CAST(:moving AS text), true)

SELECT id, conveyor_alive(id), started_at, info FROM conveyor_runner ORDER BY started_at

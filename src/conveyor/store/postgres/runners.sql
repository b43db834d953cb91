SELECT uuid_send(id), expires_at > conveyor_now(), started_at, info FROM conveyor_runner ORDER BY started_at

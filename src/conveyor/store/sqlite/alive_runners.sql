SELECT count(*) FROM conveyor_runner WHERE conveyor_alive(id)

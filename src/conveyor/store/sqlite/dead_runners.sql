SELECT count(*) FROM conveyor_runner WHERE NOT conveyor_alive(id)

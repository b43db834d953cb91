SELECT value FROM conveyor_meta WHERE name = 'move'

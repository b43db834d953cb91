DELETE FROM conveyor_meta WHERE name = 'move'

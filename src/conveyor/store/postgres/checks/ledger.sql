SELECT number FROM conveyor_migration ORDER BY number

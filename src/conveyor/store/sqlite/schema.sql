SELECT coalesce(max(number), 0) FROM conveyor_migration

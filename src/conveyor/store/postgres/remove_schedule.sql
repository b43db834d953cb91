DELETE FROM conveyor_schedule WHERE name = :schedule RETURNING name

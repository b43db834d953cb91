DELETE FROM conveyor_queue WHERE name = :queue

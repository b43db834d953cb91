SELECT 1 FROM conveyor_job WHERE id = :id

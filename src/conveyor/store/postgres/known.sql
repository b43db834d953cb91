SELECT 1 FROM conveyor_job WHERE id = :id UNION ALL SELECT 1 FROM conveyor_ended(:id)

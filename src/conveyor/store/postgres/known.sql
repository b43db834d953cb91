SELECT 1 FROM conveyor_job WHERE id = :id UNION ALL SELECT 1 FROM conveyor_history WHERE id = :id

SELECT id FROM conveyor_job WHERE {where} UNION ALL SELECT id FROM conveyor_history WHERE {where}

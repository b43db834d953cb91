SELECT uuid_send(id) FROM conveyor_job WHERE {where} UNION ALL SELECT uuid_send(id) FROM conveyor_history WHERE {where}

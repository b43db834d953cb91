SELECT id, CAST(queue AS BLOB), rowid FROM conveyor_history WHERE {where} ORDER BY id LIMIT :limit

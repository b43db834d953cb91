SELECT id, CAST(queue AS BLOB), seq FROM conveyor_job WHERE state = 'waiting' AND {where} ORDER BY id LIMIT :limit

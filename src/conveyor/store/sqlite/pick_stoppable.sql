SELECT id, CAST(queue AS BLOB), seq, state = 'running' FROM conveyor_job
WHERE (state = 'waiting' OR cancelled IS NULL) AND {where} ORDER BY id LIMIT :limit

SELECT id, CAST(queue AS BLOB), seq FROM conveyor_job
WHERE state = 'waiting' AND run_after > :now AND {where} ORDER BY id LIMIT :limit

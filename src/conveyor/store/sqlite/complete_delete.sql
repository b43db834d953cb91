DELETE FROM conveyor_job WHERE id = :id AND token = :token AND runner = :runner AND state = 'running' RETURNING 1

SELECT id, token FROM conveyor_job WHERE state = 'running' AND runner = :runner

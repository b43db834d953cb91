SELECT uuid_send(id), token, cancelled FROM conveyor_job
WHERE cancelled IS NOT NULL AND state = 'running' AND runner = :runner

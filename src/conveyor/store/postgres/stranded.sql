SELECT count(*) FROM conveyor_job j
WHERE j.state = 'running' AND NOT EXISTS (
    SELECT FROM conveyor_runner r WHERE r.id = j.runner AND r.expires_at > conveyor_now())

SELECT id, token, runner, attempt, max_attempts, crashes, attempts, last_attempted_at, :now, queue
FROM conveyor_job WHERE state = 'running' AND NOT conveyor_alive(runner)
ORDER BY runner LIMIT :limit

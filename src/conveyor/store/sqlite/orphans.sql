SELECT id, token, runner, attempt, max_attempts, crashes, attempts, last_attempted_at, :now, task, queue, extras,
       count(*) OVER (PARTITION BY runner)
FROM conveyor_job WHERE state = 'running' AND runner IN (
    SELECT runner FROM (SELECT DISTINCT runner FROM conveyor_job WHERE state = 'running')
    WHERE NOT conveyor_alive(runner) ORDER BY runner LIMIT :limit)

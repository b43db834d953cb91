-- An anti-join, repeated, and not one pass at a runner's death: a claim that was in flight then is found later.
SELECT uuid_send(j.id), j.token, uuid_send(j.runner), j.attempt, j.max_attempts, j.crashes, j.attempts,
       j.last_attempted_at, conveyor_now(), j.queue
FROM conveyor_job j
WHERE j.state = 'running' AND NOT EXISTS (
    SELECT FROM conveyor_runner r WHERE r.id = j.runner AND r.expires_at > conveyor_now())
ORDER BY j.runner
LIMIT :limit

-- An anti-join, repeated, and not one pass at a runner's death: a claim that was in flight then is found later.
WITH orphan AS MATERIALIZED (
    SELECT j.* FROM conveyor_job j
    WHERE j.state = 'running' AND NOT EXISTS (
        SELECT FROM conveyor_runner r WHERE r.id = j.runner AND r.expires_at > conveyor_now())
)
SELECT uuid_send(id), token, uuid_send(runner), attempt, max_attempts, crashes, attempts, last_attempted_at,
       conveyor_now(), queue
FROM orphan WHERE runner IN (SELECT DISTINCT runner FROM orphan ORDER BY runner LIMIT :limit)

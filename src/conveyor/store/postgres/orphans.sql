-- An anti-join, repeated, and not one pass at a runner's death: a claim that was in flight then is found later.
-- Then the rows of the chosen runners are locked, so that what is found is what will be written. A row that somebody
-- holds is left for the next pass: a zombie may be in the middle of completing it, for as long as it is stopped, and
-- the jobs of all others must not wait for that. It counts, though: nobody is taken to be alone with a runner because
-- its neighbour is just being written.
WITH orphan AS MATERIALIZED (
    SELECT j.id, j.token, j.runner FROM conveyor_job j
    WHERE j.state = 'running' AND NOT EXISTS (
        SELECT FROM conveyor_runner r WHERE r.id = j.runner AND r.expires_at > conveyor_now())
),
chosen AS MATERIALIZED (
    SELECT id, token, runner, count(*) OVER (PARTITION BY runner) AS held FROM orphan
    WHERE runner IN (SELECT DISTINCT runner FROM orphan ORDER BY runner LIMIT :limit) ORDER BY id
)
SELECT uuid_send(j.id), j.token, uuid_send(j.runner), j.attempt, j.max_attempts, j.crashes, j.attempts,
       j.last_attempted_at, conveyor_now(), j.task, j.queue, j.extras, chosen.held
FROM chosen CROSS JOIN LATERAL (
    SELECT * FROM conveyor_job j
    WHERE j.id = chosen.id AND j.token = chosen.token AND j.runner = chosen.runner AND j.state = 'running'
    FOR UPDATE SKIP LOCKED
) AS j

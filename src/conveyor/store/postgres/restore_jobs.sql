-- In the order of unique keys, as all who insert several.
INSERT INTO conveyor_job (id, token, run_after, enqueued_at, started_at, last_attempted_at, timeout, runner, priority, attempt,
                          max_attempts, crashes, state, task, queue, args, attempts, extras, unique_key, cancelled, progress,
                          expires_at, keep, until_start)
SELECT id, token, run_after, enqueued_at, started_at, last_attempted_at, timeout, runner, priority, attempt, max_attempts,
       crashes, state, task, queue, args, attempts, extras, unique_key, cancelled, progress, expires_at, keep, until_start = 1
FROM {given_records} ORDER BY unique_key, id
ON CONFLICT DO NOTHING

SELECT * FROM (
    SELECT uuid_send(id) AS job, token, run_after, enqueued_at, started_at, last_attempted_at, CAST(NULL AS bigint),
           CAST(NULL AS bigint), timeout, uuid_send(runner), priority, attempt, max_attempts, crashes, state, task, queue, args,
           attempts, CAST(NULL AS bytea), extras, unique_key, cancelled, progress, CAST(NULL AS text), CAST(NULL AS bigint),
           expires_at, keep, until_start
    FROM conveyor_job WHERE {where} ORDER BY id LIMIT :limit) AS unfinished
UNION ALL
SELECT * FROM (
    SELECT uuid_send(id) AS job, token, run_after, enqueued_at, started_at, last_attempted_at, finished_at, run_time, timeout,
           uuid_send(runner), priority, attempt, max_attempts, crashes, state, task, queue, args, attempts, result, extras,
           unique_key, cancelled, progress, fingerprint, delete_after, CAST(NULL AS bigint), CAST(NULL AS bigint), false
    FROM conveyor_history WHERE {where} ORDER BY id LIMIT :limit) AS ended
ORDER BY 1 LIMIT :limit

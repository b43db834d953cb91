SELECT * FROM (
    SELECT id, token, run_after, enqueued_at, started_at, last_attempted_at, NULL, NULL, timeout, runner, priority, attempt,
           max_attempts, crashes, state, task, queue, args, attempts, NULL, extras, unique_key, cancelled, progress, NULL,
           NULL, expires_at, keep, until_start
    FROM conveyor_job WHERE {where} ORDER BY id LIMIT :limit) AS unfinished
UNION ALL
SELECT * FROM (
    SELECT {history_columns}, NULL, NULL, 0 FROM conveyor_history WHERE {where} ORDER BY id LIMIT :limit) AS ended
ORDER BY 1 LIMIT :limit

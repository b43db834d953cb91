SELECT id, task, queue, priority, state, attempt, max_attempts, crashes, token, timeout, enqueued_at, run_after,
       started_at, last_attempted_at, NULL, NULL, runner, args, NULL, attempts, :now
FROM conveyor_job WHERE id = :id
UNION ALL
SELECT id, task, queue, priority, state, attempt, max_attempts, crashes, token, timeout, enqueued_at, run_after,
       started_at, last_attempted_at, finished_at, run_time, runner, args, result, attempts, :now
FROM conveyor_history WHERE id = :id

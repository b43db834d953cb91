SELECT uuid_send(id), task, queue, priority, state, attempt, max_attempts, crashes, token, timeout, enqueued_at,
       run_after, started_at, last_attempted_at, NULL::bigint, NULL::bigint, uuid_send(runner), args, NULL::bytea,
       attempts, conveyor_now()
FROM conveyor_job WHERE id = :id
UNION ALL
SELECT uuid_send(id), task, queue, priority, state, attempt, max_attempts, crashes, token, timeout, enqueued_at,
       run_after, started_at, last_attempted_at, finished_at, run_time, uuid_send(runner), args, result,
       attempts, conveyor_now()
FROM conveyor_history WHERE id = :id

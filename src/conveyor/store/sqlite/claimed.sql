SELECT json_group_array(json_array(
    lower(hex(id)), task, queue, priority, run_after, attempt, max_attempts, crashes, token, timeout,
    hex(args), CASE WHEN attempts IS NULL THEN NULL ELSE hex(attempts) END, last_attempted_at,
    expires_at, CASE WHEN extras IS NULL THEN NULL ELSE hex(extras) END,
    CASE WHEN cancelled IS NULL THEN NULL ELSE hex(cancelled) END))
FROM (SELECT * FROM conveyor_job WHERE seq IN (SELECT value FROM json_each(:seqs)) ORDER BY run_after)

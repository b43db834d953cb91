SELECT json_group_array(json_array(
    lower(hex(id)), task, queue, priority, run_after, attempt, max_attempts, crashes, token, timeout,
    CAST(args AS TEXT), CAST(attempts AS TEXT), last_attempted_at))
FROM (SELECT * FROM conveyor_job WHERE seq IN (SELECT value FROM json_each(:seqs)) ORDER BY run_after)

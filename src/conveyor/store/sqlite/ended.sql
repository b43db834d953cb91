INSERT INTO conveyor_history ({history_columns})
SELECT id, token, run_after, enqueued_at, started_at, last_attempted_at, :now, NULL, timeout, runner, priority,
       attempt, max_attempts, crashes, 'cancelled', task, queue, args, attempts, NULL, extras,
       CASE WHEN until_start THEN NULL ELSE unique_key END, :reason, progress, NULL,
       CASE WHEN keep < 0 THEN NULL ELSE :now + coalesce(keep, 2592000000000) END
FROM conveyor_job WHERE seq IN (SELECT value FROM json_each(:seqs))

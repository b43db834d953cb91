-- The completion of one attempt inside the user's own transaction.
INSERT INTO conveyor_history ({history_columns})
SELECT id, token, run_after, enqueued_at, started_at, last_attempted_at, :now, :now - last_attempted_at, timeout,
       runner, priority, attempt, max_attempts, crashes, 'succeeded', task, queue, args,
       coalesce(CAST(:record AS BLOB), attempts),
       CAST(:result AS BLOB), extras, CASE WHEN until_start THEN NULL ELSE unique_key END, NULL,
       coalesce(CAST(:progress AS BLOB), progress), NULL,
       CASE WHEN keep < 0 THEN NULL ELSE :now + coalesce(keep, 2592000000000) END
FROM conveyor_job WHERE id = :id AND token = :token AND runner = :runner AND state = 'running'

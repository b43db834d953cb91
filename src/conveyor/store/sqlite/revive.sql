-- Whose unique key another job holds by now stays where it is. It may run once more at least, and never expires.
INSERT INTO conveyor_job (
    id, token, run_after, enqueued_at, started_at, last_attempted_at, timeout, priority, attempt, max_attempts, task,
    queue, args, attempts, keep, extras, unique_key)
SELECT id, token, :now, enqueued_at, started_at, last_attempted_at, timeout, priority, attempt,
       min(max(max_attempts, attempt + 1), 32767), task, queue, args, attempts,
       coalesce(delete_after - finished_at, -1), extras, unique_key
FROM conveyor_history WHERE rowid IN (SELECT value FROM json_each(:seqs)) ORDER BY unique_key, id
ON CONFLICT DO NOTHING RETURNING id

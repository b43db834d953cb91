INSERT INTO conveyor_history (
    id, token, run_after, enqueued_at, started_at, last_attempted_at, finished_at, run_time, timeout, runner,
    priority, attempt, max_attempts, crashes, state, task, queue, args, attempts, result)
SELECT id, token, run_after, enqueued_at, started_at, last_attempted_at, :now, :run_time, timeout, runner,
       priority, attempt, max_attempts, crashes + :crash, :outcome, task, queue, args,
       coalesce(:record, attempts), :result
FROM conveyor_job WHERE id = :id AND token = :token AND runner = :runner AND state = 'running'

INSERT INTO conveyor_job (id, token, run_after, enqueued_at, started_at, last_attempted_at, timeout, runner, priority, attempt,
                          max_attempts, crashes, state, task, queue, args, attempts, extras, unique_key, cancelled, progress,
                          expires_at, keep, until_start)
VALUES (:id, :token, :run_after, :enqueued_at, :started_at, :last_attempted_at, :timeout, :runner, :priority, :attempt,
        :max_attempts, :crashes, :state, :task, :queue, :args, :attempts, :extras, :unique_key, :cancelled, :progress,
        :expires_at, :keep, :until_start)
ON CONFLICT DO NOTHING

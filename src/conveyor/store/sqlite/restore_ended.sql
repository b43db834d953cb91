INSERT INTO conveyor_history ({history_columns})
VALUES (:id, :token, :run_after, :enqueued_at, :started_at, :last_attempted_at, :finished_at, :run_time, :timeout, :runner,
        :priority, :attempt, :max_attempts, :crashes, :state, :task, :queue, :args, :attempts, :result, :extras, :unique_key,
        :cancelled, :progress, :fingerprint, :delete_after)
ON CONFLICT DO NOTHING

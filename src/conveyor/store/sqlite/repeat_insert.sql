INSERT INTO conveyor_job (id, task, queue, priority, run_after, enqueued_at, max_attempts, timeout, args)
VALUES (:id, :task, :queue, :priority, max(:due, :now + :delay) + :place, :now, :max_attempts, :timeout, :args)
ON CONFLICT (id) DO NOTHING

-- Rows of one call lie 1 us apart, which keeps their order in the fetch index.
INSERT INTO conveyor_job (id, task, queue, priority, run_after, enqueued_at, max_attempts, timeout, args, expires_at,
                          keep, extras)
VALUES (:id, :task, :queue, :priority, max(:due, :now + :delay) + :place, :now, :max_attempts, :timeout, :args,
        max(:due, :now + :delay) + :place + :expires, :keep, :extras)

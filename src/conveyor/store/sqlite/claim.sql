-- One queue and one priority, so that both ends of the index bound the scan: what is scheduled for later costs
-- nothing.
UPDATE conveyor_job
SET state = 'running', runner = :runner, attempt = attempt + 1, token = max(token + 1, :now),
    started_at = coalesce(started_at, :now), last_attempted_at = :now
WHERE seq IN (
    SELECT seq FROM conveyor_job
    WHERE queue = :queue AND priority = :priority AND run_after <= :now AND state = 'waiting'
      AND task IN (SELECT value FROM json_each(:tasks))
    ORDER BY run_after LIMIT :room)
RETURNING id, task, queue, priority, run_after, attempt, max_attempts, crashes, token, timeout, args, attempts,
          last_attempted_at

-- They ended evenly over the last ten days. Each hundredth has failed, with one of ten errors.
WITH RECURSIVE number (n) AS (SELECT 1 WHERE :finished > 0 UNION ALL SELECT n + 1 FROM number WHERE n < :finished),
done (n, at) AS (SELECT n, :now - 864000000000 * (:finished - n) / :finished - 1000000 FROM number)
INSERT INTO conveyor_history (id, token, run_after, enqueued_at, started_at, last_attempted_at, finished_at, run_time,
                              timeout, priority, attempt, max_attempts, crashes, state, task, queue, args, fingerprint,
                              delete_after)
SELECT filled_id(at, n), at, at, at, at, at, at + 1000, 1000, 3600000000, 0, 1, 5, 0,
       CASE n % 100 WHEN 0 THEN 'failed' ELSE 'succeeded' END, :task, :queue, x'5b5b315d2c7b7d5d',
       CASE n % 100 WHEN 0 THEN 'bench' || n / 100 % 10 END, at + 2592000000000
FROM done

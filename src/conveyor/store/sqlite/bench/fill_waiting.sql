-- Half of the jobs are scheduled, the others are due.
WITH RECURSIVE number (n) AS (SELECT 1 WHERE :waiting > 0 UNION ALL SELECT n + 1 FROM number WHERE n < :waiting)
INSERT INTO conveyor_job (id, task, queue, priority, run_after, enqueued_at, max_attempts, timeout, args)
SELECT filled_id(:now - :waiting + n, n), :task, CASE n % 2 WHEN 0 THEN :queue ELSE :elsewhere END, 0,
       CASE n % 2 WHEN 0 THEN :now + 86400000000 + n ELSE :now - :waiting + n END, :now - :waiting + n, 5, 3600000000,
       x'5b5b315d2c7b7d5d'
FROM number

-- Ids as the library makes them: their order is that of time. Half of the jobs are scheduled, the others are due.
INSERT INTO conveyor_job (id, task, queue, priority, run_after, enqueued_at, max_attempts, timeout, args)
SELECT (lpad(to_hex(clock.now / 1000 - :waiting + n), 12, '0') || '7' || substr(random.hex, 1, 3) || '8'
        || substr(random.hex, 4, 15))::uuid,
       :task, CASE n % 2 WHEN 0 THEN :queue ELSE :elsewhere END, 0,
       CASE n % 2 WHEN 0 THEN clock.now + 86400000000 + n ELSE clock.now - :waiting + n END,
       clock.now - :waiting + n, 5, 3600000000, '\x5b5b315d2c7b7d5d'
FROM (SELECT conveyor_now() AS now) AS clock, generate_series(1, :waiting) AS n,
     LATERAL (SELECT md5(n::text) AS hex) AS random

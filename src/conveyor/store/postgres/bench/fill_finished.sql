-- They ended evenly over the last ten days. Each hundredth has failed, with one of ten errors.
INSERT INTO conveyor_history (id, token, run_after, enqueued_at, started_at, last_attempted_at, finished_at, run_time,
                              timeout, priority, attempt, max_attempts, crashes, state, task, queue, args, fingerprint,
                              delete_after)
SELECT (lpad(to_hex(done.at / 1000), 12, '0') || '7' || substr(random.hex, 1, 3) || '8'
        || substr(random.hex, 4, 15))::uuid,
       done.at, done.at, done.at, done.at, done.at, done.at + 1000, 1000, 3600000000, 0, 1, 5, 0,
       CASE n % 100 WHEN 0 THEN 'failed' ELSE 'succeeded' END, :task, :queue, '\x5b5b315d2c7b7d5d',
       CASE n % 100 WHEN 0 THEN 'bench' || n / 100 % 10 END, done.at + 2592000000000
FROM (SELECT conveyor_now() AS now) AS clock, generate_series(1, :finished) AS n,
     LATERAL (SELECT md5(n::text) AS hex) AS random,
     LATERAL (SELECT clock.now - (864000000000 * (1 - n::float8 / :finished))::bigint - 1000000 AS at) AS done

-- Jobs of {given_rows}, which begin at "start.at".
INSERT INTO conveyor_job (id, task, queue, priority, run_after, enqueued_at, max_attempts, timeout, args,
                          expires_at, keep, extras, unique_key, until_start)
SELECT given.id, given.task, given.queue, given.priority, start.at, clock.now, given.max_attempts, given.timeout,
       convert_to(given.args, 'UTF8'), start.at + given.expires, given.keep, given.extras, given.unique_key,
       given.until_start
FROM clock, {given_rows} AS given

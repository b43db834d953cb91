-- Only a job that waits is changed: it is as a new one then, but for its id, its token and when it was enqueued. WHERE
-- and the row value, for UPDATE ... FROM came with SQLite 3.33.
UPDATE conveyor_job AS j
SET task = given.task, queue = given.queue, priority = given.priority, max_attempts = given.max_attempts,
    run_after = given.run_after, timeout = given.timeout, args = given.args, keep = given.keep, extras = given.extras,
    until_start = given.until_start, expires_at = given.run_after + given.expires,
    attempt = 0, attempts = NULL, crashes = 0, progress = NULL, started_at = NULL, last_attempted_at = NULL
FROM {given_rows} AS given
WHERE j.unique_key = given.unique_key AND j.state = 'waiting' AND j.cancelled IS NULL
RETURNING lower(hex(id))

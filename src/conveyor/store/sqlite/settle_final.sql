-- All rows as one JSON parameter, and the ids as one blob (JSON cannot carry bytes): so the whole batch is one step
-- of SQLite, which Python's other threads need not stop for. One step for each row would take the interpreter's lock
-- back each time. CROSS JOIN keeps SQLite from turning the join round.
INSERT INTO conveyor_history (
    id, token, run_after, enqueued_at, started_at, last_attempted_at, finished_at, run_time, timeout, runner,
    priority, attempt, max_attempts, crashes, state, task, queue, args, attempts, result)
SELECT j.id, j.token + json_extract(given.value, '$.fence'), j.run_after, j.enqueued_at, j.started_at, j.last_attempted_at, :now,
       json_extract(given.value, '$.run_time'), j.timeout, j.runner, j.priority, j.attempt, j.max_attempts,
       j.crashes + json_extract(given.value, '$.crash'), json_extract(given.value, '$.outcome'), j.task, j.queue,
       j.args, coalesce(CAST(json_extract(given.value, '$.record') AS BLOB), j.attempts),
       CAST(json_extract(given.value, '$.result') AS BLOB)
FROM json_each(:rows) AS given
CROSS JOIN conveyor_job j ON j.id = substr(:ids, given.key * 16 + 1, 16)
WHERE j.token = json_extract(given.value, '$.token') AND j.runner = substr(:runners, given.key * 16 + 1, 16)
  AND j.state = 'running'

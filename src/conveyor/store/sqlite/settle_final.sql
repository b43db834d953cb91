-- All rows as one JSON parameter, and the ids as one blob (JSON cannot carry bytes): so the whole batch is one step
-- of SQLite, which Python's other threads need not stop for. One step for each row would take the interpreter's lock
-- back each time. CROSS JOIN keeps SQLite from turning the join round; LIMIT keeps it from reading a row's JSON anew
-- wherever a part of it is named. Flags: 1 a crash, 2 a new token, 4 the attempt given back.
INSERT INTO conveyor_history ({history_columns})
SELECT j.id, j.token + (given.flags >> 1 & 1), j.run_after, j.enqueued_at, j.started_at, j.last_attempted_at, :now,
       given.run_time, j.timeout, j.runner, j.priority, j.attempt - (given.flags >> 2 & 1), j.max_attempts,
       j.crashes + (given.flags & 1), given.outcome, j.task, j.queue, j.args,
       coalesce(CAST(given.record AS BLOB), j.attempts), CAST(given.result AS BLOB), j.extras,
       CASE WHEN j.until_start THEN NULL ELSE j.unique_key END,
       CASE WHEN given.outcome = 'cancelled' THEN coalesce(given.reason, j.cancelled) END, j.progress,
       given.fingerprint, CASE WHEN j.keep < 0 THEN NULL ELSE :now + coalesce(j.keep, 2592000000000) END
FROM (
    SELECT key, json_extract(value, '$[0]') AS token, json_extract(value, '$[1]') AS flags,
           json_extract(value, '$[2]') AS outcome, json_extract(value, '$[3]') AS run_time,
           json_extract(value, '$[4]') AS result, json_extract(value, '$[5]') AS record,
           json_extract(value, '$[6]') AS reason, json_extract(value, '$[7]') AS fingerprint
    FROM json_each(:rows) LIMIT -1
) AS given
CROSS JOIN conveyor_job j ON j.id = substr(:ids, given.key * 16 + 1, 16)
WHERE j.token = given.token AND j.runner = substr(:runners, given.key * 16 + 1, 16)
  AND j.state = 'running' AND (:asked = 0 OR j.cancelled IS NOT NULL)

-- WHERE keeps SQLite from taking ON CONFLICT for the condition of a join.
INSERT INTO conveyor_job (id, task, queue, priority, run_after, enqueued_at, max_attempts, timeout, args, expires_at,
                          keep, extras, unique_key, until_start)
SELECT id, task, queue, priority, run_after, :now, max_attempts, timeout, args, run_after + expires, keep, extras,
       unique_key, until_start
FROM {given_rows} AS given WHERE true ORDER BY place
ON CONFLICT DO NOTHING RETURNING lower(hex(id))

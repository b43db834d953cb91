"""Statements of the version whose schema was migration 2, as its workers go on sending them after `conveyor migrate`.

Those that name rows of history by ``ctid``, and the settle. ``{where}`` stands for what a filter of that version said.
"""

PRUNE = """
WITH gone AS (
    DELETE FROM conveyor_history WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM conveyor_history WHERE delete_after <= (SELECT conveyor_now()) LIMIT 500
        FOR UPDATE SKIP LOCKED))
    RETURNING 1
)
SELECT count(*) FROM gone
"""
DELETE_ENDED = """
WITH picked AS MATERIALIZED (
    SELECT ctid AS tid FROM conveyor_history WHERE {where} ORDER BY id LIMIT 500 FOR UPDATE
),
gone AS (DELETE FROM conveyor_history WHERE ctid = ANY (ARRAY(SELECT tid FROM picked)) RETURNING id, queue)
SELECT uuid_send(id), convert_to(queue, 'UTF8') FROM gone ORDER BY id
"""
REVIVE_ENDED = """
WITH clock AS MATERIALIZED (SELECT conveyor_now() AS now),
picked AS MATERIALIZED (
    SELECT ctid AS tid, id FROM conveyor_history WHERE {where} ORDER BY id LIMIT 500 FOR UPDATE
),
added AS (
    INSERT INTO conveyor_job (
        id, token, run_after, enqueued_at, started_at, last_attempted_at, timeout, priority, attempt, max_attempts,
        task, queue, args, attempts, keep, extras, unique_key)
    SELECT id, token, clock.now, enqueued_at, started_at, last_attempted_at, timeout, priority, attempt,
           least(greatest(max_attempts, attempt + 1), 32767), task, queue, args, attempts,
           coalesce(delete_after - finished_at, -1), extras, unique_key
    FROM conveyor_history h, clock WHERE h.ctid = ANY (ARRAY(SELECT tid FROM picked))
    ORDER BY unique_key, id
    ON CONFLICT DO NOTHING
    RETURNING id, queue
),
gone AS (
    DELETE FROM conveyor_history h
    WHERE h.ctid = ANY (ARRAY(SELECT picked.tid FROM picked JOIN added USING (id)))
)
SELECT uuid_send(picked.id), convert_to(added.queue, 'UTF8') FROM picked LEFT JOIN added USING (id) ORDER BY picked.id
"""
COMPLETE = """
WITH clock AS MATERIALIZED (SELECT conveyor_now() AS now),
gone AS (DELETE FROM conveyor_job WHERE id = %s RETURNING *),
kept AS (
    INSERT INTO conveyor_history (id, token, run_after, enqueued_at, started_at, last_attempted_at, finished_at,
        run_time, timeout, runner, priority, attempt, max_attempts, crashes, state, task, queue, args, attempts, result,
        extras, unique_key, cancelled, progress, fingerprint, delete_after)
    SELECT id, token, run_after, enqueued_at, started_at, last_attempted_at, clock.now,
           clock.now - last_attempted_at, timeout, runner, priority, attempt, max_attempts, crashes, 'succeeded', task,
           queue, args, attempts, NULL, extras, CASE WHEN until_start THEN NULL ELSE unique_key END, NULL, progress,
           NULL, CASE WHEN keep < 0 THEN NULL ELSE clock.now + coalesce(keep, 2592000000000) END
    FROM gone, clock
)
SELECT count(*) FROM gone
"""

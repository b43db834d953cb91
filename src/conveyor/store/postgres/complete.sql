-- The completion of one attempt inside the user's own transaction, in forms that every library carries.
-- Deleted by its key, and not by a ctid that was locked before: somebody who rewrites the row at this moment (its
-- progress, a wish to cancel it) leaves a version that this statement's snapshot does not show. To delete it there
-- would find nothing, and take an attempt for fenced that is not; a row that is found by its key is looked at again.
WITH clock AS MATERIALIZED (SELECT conveyor_now() AS now),
gone AS (
    DELETE FROM conveyor_job
    WHERE id = CAST(CAST(:id AS text) AS uuid) AND token = CAST(:token AS bigint)
      AND runner = CAST(CAST(:runner AS text) AS uuid) AND state = 'running'
    RETURNING *
),
kept AS (
    INSERT INTO conveyor_history ({history_columns})
    SELECT id, token, run_after, enqueued_at, started_at, last_attempted_at, clock.now,
           clock.now - last_attempted_at, timeout, runner, priority, attempt, max_attempts, crashes, 'succeeded', task,
           queue, args, coalesce(convert_to(CAST(:record AS text), 'UTF8'), attempts),
           convert_to(CAST(:result AS text), 'UTF8'), extras,
           CASE WHEN until_start THEN NULL ELSE unique_key END, NULL,
           coalesce(convert_to(CAST(:progress AS text), 'UTF8'), progress), NULL,
           CASE WHEN keep < 0 THEN NULL ELSE clock.now + coalesce(keep, 2592000000000) END
    FROM gone, clock
)
SELECT count(*) FROM gone

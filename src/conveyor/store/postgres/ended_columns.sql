-- What history takes over of a job that ends without having been started.
SELECT id, token, run_after, enqueued_at, started_at, last_attempted_at, clock.now, NULL::bigint, timeout, runner,
       priority, attempt, max_attempts, crashes, 'cancelled', task, queue, args, attempts, NULL::bytea, extras,
       CASE WHEN until_start THEN NULL ELSE unique_key END, :reason::text, progress, NULL::text,
       CASE WHEN keep < 0 THEN NULL ELSE clock.now + coalesce(keep, 2592000000000) END

-- Rows of one call lie 1 us apart, which keeps their order in the fetch index.
WITH clock AS MATERIALIZED (SELECT conveyor_now() AS now),
added AS (
    INSERT INTO conveyor_job (id, task, queue, priority, run_after, enqueued_at, max_attempts, timeout, args)
    SELECT given.id, given.task, given.queue, given.priority,
           greatest(given.due, clock.now + given.delay) + given.place - 1,
           clock.now, given.max_attempts, given.timeout, given.args
    FROM clock, unnest(:id::uuid[], :task::text[], :queue::text[], :priority::int2[], :due::int8[], :delay::int8[], :max_attempts::int2[], :timeout::int8[], :args::bytea[])
         WITH ORDINALITY AS given (id, task, queue, priority, due, delay, max_attempts, timeout, args, place)
    ORDER BY given.place
    RETURNING queue
)
-- NOTIFY takes a database-wide lock through the commit's fsync, so it is sent only while some claimer is idle.
SELECT pg_notify('conveyor', rung.queue) FROM (SELECT DISTINCT queue FROM added) AS rung
WHERE (SELECT last_value FROM conveyor_bell) > (SELECT now FROM clock)

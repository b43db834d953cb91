-- Rows of one call lie 1 us apart, which keeps their order in the fetch index.
INSERT INTO conveyor_job (id, task, queue, priority, run_after, enqueued_at, max_attempts, timeout, args,
                          expires_at, keep, extras)
SELECT given.id, given.task, given.queue, given.priority, start.at, clock.now, given.max_attempts, given.timeout,
       given.args, start.at + given.expires, given.keep, given.extras
FROM clock, unnest(:id::uuid[], :task::text[], :queue::text[], :priority::int2[], :due::int8[], :delay::int8[],
                   :max_attempts::int2[], :timeout::int8[], :args::bytea[], :expires::int8[], :keep::int8[],
                   :extras::text[])
     WITH ORDINALITY AS given (id, task, queue, priority, due, delay, max_attempts, timeout, args, expires, keep,
                               extras, place)
     CROSS JOIN LATERAL (SELECT greatest(given.due, clock.now + given.delay) + given.place - 1 AS at) AS start
ORDER BY given.place

-- Whatever a job does at this moment, it gets what it needs: one that waits ends, one that runs is asked to stop, and
-- its runner is told on the channel that only it hears. Locked in the order of ids, as all that locks several jobs
-- does, and then found by id, not by a ctid: somebody who has just rewritten a row leaves a version that this
-- statement's snapshot does not show, and which only a look-up by its key follows.
WITH clock AS MATERIALIZED (SELECT conveyor_now() AS now),
picked AS MATERIALIZED (
    SELECT id, queue, state FROM conveyor_job
    WHERE (SELECT {patience}) <> '' AND (state = 'waiting' OR cancelled IS NULL) AND {where} ORDER BY id LIMIT :limit FOR UPDATE
),
gone AS (
    DELETE FROM conveyor_job WHERE id = ANY (ARRAY(SELECT id FROM picked WHERE state = 'waiting')) RETURNING *
),
kept AS (INSERT INTO conveyor_history ({history_columns}) {ended_columns} FROM gone, clock),
asked AS (
    UPDATE conveyor_job SET cancelled = :reason WHERE id = ANY (ARRAY(SELECT id FROM picked WHERE state = 'running'))
    RETURNING runner
),
rung AS (
    SELECT pg_notify('conveyor_' || encode(uuid_send(runner), 'hex'), 'cancel')
    FROM (SELECT DISTINCT runner FROM asked) AS runners WHERE {room_to_ring}
)
SELECT uuid_send(id), convert_to(queue, 'UTF8'), state = 'running', (SELECT count(*) FROM rung)
FROM picked ORDER BY id

-- By id, for the reason in stop.sql.
WITH picked AS MATERIALIZED (
    SELECT id FROM conveyor_job WHERE (SELECT {patience}) <> '' AND state = 'waiting' AND {where} ORDER BY id LIMIT :limit FOR UPDATE
),
gone AS (DELETE FROM conveyor_job WHERE id = ANY (ARRAY(SELECT id FROM picked)) RETURNING id, queue)
SELECT uuid_send(id), convert_to(queue, 'UTF8') FROM gone ORDER BY id

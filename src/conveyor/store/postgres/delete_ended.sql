WITH picked AS MATERIALIZED (
    SELECT id FROM conveyor_history WHERE (SELECT {patience}) <> '' AND {where} ORDER BY id LIMIT :limit FOR UPDATE
),
gone AS (DELETE FROM conveyor_history WHERE id = ANY (ARRAY(SELECT id FROM picked)) RETURNING id, queue)
SELECT uuid_send(id), convert_to(queue, 'UTF8') FROM gone ORDER BY id

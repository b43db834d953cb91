WITH picked AS MATERIALIZED (
    SELECT ctid AS tid FROM conveyor_history WHERE (SELECT {patience}) <> '' AND {where} ORDER BY id LIMIT :limit FOR UPDATE
),
gone AS (DELETE FROM conveyor_history WHERE ctid = ANY (ARRAY(SELECT tid FROM picked)) RETURNING id, queue)
SELECT uuid_send(id), convert_to(queue, 'UTF8') FROM gone ORDER BY id

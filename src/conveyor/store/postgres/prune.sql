-- What goes by itself; and, two days late, what should have gone with a partition of a day, or has lain astray; and, a
-- month late, the same of those of four weeks. Each looks at those partitions alone that its bounds leave.
WITH loose AS MATERIALIZED (
    SELECT id FROM conveyor_history WHERE shelf < 2 AND delete_after <= (SELECT conveyor_now())
    LIMIT :limit FOR UPDATE SKIP LOCKED
),
late AS MATERIALIZED (
    SELECT id FROM conveyor_history WHERE shelf >= 2 AND shelf < (SELECT conveyor_now() - 172800000000)
    LIMIT :limit FOR UPDATE SKIP LOCKED
),
later AS MATERIALIZED (
    SELECT id FROM conveyor_history
    WHERE shelf >= 2305843009213693952 AND shelf < (SELECT 2305843009213693952 + conveyor_now() - 2592000000000)
    LIMIT :limit FOR UPDATE SKIP LOCKED
),
gone AS (
    DELETE FROM conveyor_history WHERE id = ANY (ARRAY(
        SELECT id FROM (SELECT id FROM loose UNION ALL SELECT id FROM late UNION ALL SELECT id FROM later) AS over
        LIMIT :limit))
    RETURNING 1
)
SELECT count(*) FROM gone

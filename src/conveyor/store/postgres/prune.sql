WITH gone AS (
    DELETE FROM conveyor_history WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM conveyor_history WHERE delete_after <= (SELECT conveyor_now()) LIMIT :limit
        FOR UPDATE SKIP LOCKED))
    RETURNING 1
)
SELECT count(*) FROM gone

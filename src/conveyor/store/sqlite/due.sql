-- One queue and one priority, so that both ends of the index bound the scan: what is scheduled for later costs
-- nothing. One row of JSON, for the reason in settle_final.sql.
SELECT json_group_array(seq) FROM (
    SELECT seq FROM conveyor_job
    WHERE queue = :queue AND priority = :priority AND run_after <= :now AND state = 'waiting'
      AND task IN (SELECT value FROM json_each(:tasks))
    ORDER BY run_after LIMIT :room)

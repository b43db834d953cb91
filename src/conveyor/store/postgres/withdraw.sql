-- LIMIT keeps each look-up a look-up, as in settled.sql.
DELETE FROM conveyor_job WHERE ctid = ANY (ARRAY(
    SELECT job.tid FROM json_array_elements_text(CAST(CAST(:ids AS text) AS json)) AS given (id)
    CROSS JOIN LATERAL (SELECT j.ctid AS tid FROM conveyor_job j WHERE j.id = CAST(given.id AS uuid) LIMIT 1) AS job))

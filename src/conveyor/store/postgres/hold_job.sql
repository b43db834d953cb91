-- Waits for a transaction that is about to end this job, if there is one.
SELECT 1 FROM conveyor_job WHERE id = :id FOR UPDATE

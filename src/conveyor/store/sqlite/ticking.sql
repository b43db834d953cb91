-- Whether the cursor stands where the move says, and whether its jobs are to be made.
SELECT NOT (s.overlap = 'skip' AND EXISTS (SELECT 1 FROM conveyor_job j WHERE j.id = s.job))
FROM conveyor_schedule s
WHERE s.name = :schedule AND s.version = :version AND s.next_at = :due AND s.paused_at IS NULL

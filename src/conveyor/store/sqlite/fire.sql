UPDATE conveyor_schedule
SET next_at = CASE WHEN fired + made.jobs >= times THEN NULL ELSE :next_at END, tick = :tick,
    version = version + 1, fired = fired + made.jobs, job = CASE WHEN made.jobs > 0 THEN :job ELSE job END
FROM (SELECT CASE WHEN s.overlap = 'skip' AND EXISTS (SELECT 1 FROM conveyor_job j WHERE j.id = s.job)
                  THEN 0 ELSE :jobs END AS jobs
      FROM conveyor_schedule s WHERE s.name = :schedule) AS made
WHERE name = :schedule AND version = :version AND next_at = :due AND paused_at IS NULL
RETURNING name, CASE WHEN job IS :job THEN :jobs ELSE 0 END

UPDATE conveyor_schedule
SET next_at = CASE WHEN fired + :jobs >= times THEN NULL ELSE :next_at END, tick = :tick, version = version + 1,
    fired = fired + :jobs, job = coalesce(:job, job)
WHERE name = :schedule

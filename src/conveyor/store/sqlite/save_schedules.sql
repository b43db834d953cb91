-- An edit of what is gone by now makes nothing anew.
INSERT INTO conveyor_schedule (name, spec, declared, next_at, paused_at, times, overlap, version, created_at)
SELECT given.name, given.spec, given.declared, given.next_at, given.paused_at, given.times, given.overlap,
       given.version + 1, :now
FROM {given_edits} AS given
WHERE given.version = 0 OR EXISTS (SELECT 1 FROM conveyor_schedule old WHERE old.name = given.name)
ORDER BY given.name
ON CONFLICT (name) DO UPDATE
SET spec = excluded.spec, declared = excluded.declared, next_at = excluded.next_at, paused_at = excluded.paused_at,
    times = excluded.times, overlap = excluded.overlap, version = excluded.version
WHERE conveyor_schedule.version = excluded.version - 1
RETURNING name

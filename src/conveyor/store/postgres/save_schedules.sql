-- An edit of what is gone by now makes nothing anew.
WITH saved AS (
INSERT INTO conveyor_schedule AS s (name, spec, declared, next_at, paused_at, times, overlap, version, created_at)
SELECT given.name, given.spec, given.declared, given.next_at, given.paused_at, given.times, given.overlap,
       given.version + 1, conveyor_now()
FROM {given_edits} AS given
WHERE given.version = 0 OR EXISTS (SELECT FROM conveyor_schedule old WHERE old.name = given.name)
ORDER BY given.name
ON CONFLICT (name) DO UPDATE
SET spec = excluded.spec, declared = excluded.declared, next_at = excluded.next_at, paused_at = excluded.paused_at,
    times = excluded.times, overlap = excluded.overlap, version = excluded.version
WHERE s.version = excluded.version - 1
RETURNING s.name
)
SELECT saved.name, CASE WHEN {room_to_ring} THEN pg_notify('conveyor', 'schedules') END FROM saved

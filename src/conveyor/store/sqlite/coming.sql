-- What is due, whole, and when the rest will be.
SELECT s.name, CASE WHEN s.next_at <= clock.now THEN s.spec ELSE '' END, NULL, s.next_at, s.tick, s.fired, s.paused_at,
       s.job, s.version, s.created_at, clock.now
FROM (SELECT :now AS now) AS clock
LEFT JOIN (SELECT * FROM conveyor_schedule WHERE next_at IS NOT NULL AND paused_at IS NULL
           ORDER BY next_at LIMIT :limit) AS s ON true
ORDER BY s.next_at

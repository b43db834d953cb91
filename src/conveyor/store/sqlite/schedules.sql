SELECT s.name, s.spec, s.declared, s.next_at, s.tick, s.fired, s.paused_at, s.job, s.version, s.created_at, :now
FROM conveyor_schedule s
WHERE :names IS NULL OR s.name IN (SELECT value FROM json_each(:names))
ORDER BY s.name

SELECT s.name, s.spec, s.declared, s.next_at, s.tick, s.fired, s.paused_at, uuid_send(s.job), s.version, s.created_at,
       (SELECT conveyor_now())
FROM conveyor_schedule s
WHERE CAST(:names AS text) IS NULL
   OR s.name IN (SELECT json_array_elements_text(CAST(CAST(:names AS text) AS json)))
ORDER BY s.name

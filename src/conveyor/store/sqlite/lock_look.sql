-- Who has it, for how long by now, and whether the process that the holder was tied to has ended.
SELECT token, holder, taken_at, :now, tied = 1 AND conveyor_untied(:lock)
FROM conveyor_lock AS held WHERE name = :lock AND NOT ({lock_over})

-- The second half of a repeated enqueue: finished jobs leave the hot table, so the insert cannot know of them.
DELETE FROM conveyor_job WHERE id = :id AND EXISTS (SELECT 1 FROM conveyor_history h WHERE h.id = :id)

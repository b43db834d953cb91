SELECT number, positions FROM conveyor_outbox_batch WHERE target = :target ORDER BY number

SELECT number, positions FROM conveyor_outbox_batch WHERE target = :target AND number >= :first ORDER BY number

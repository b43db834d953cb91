SELECT number, positions FROM conveyor_outbox_batch ORDER BY number

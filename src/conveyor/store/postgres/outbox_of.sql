SELECT position, put_at, conveyor_now(), job FROM conveyor_outbox WHERE target = :target AND position IN {outbox_positions} ORDER BY position

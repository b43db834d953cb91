SELECT position, put_at, conveyor_now(), job FROM conveyor_outbox WHERE position IN {outbox_positions} ORDER BY position

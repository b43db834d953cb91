DELETE FROM conveyor_outbox WHERE position IN {outbox_positions}

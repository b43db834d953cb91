DELETE FROM conveyor_outbox WHERE target = :target AND position IN {outbox_positions}

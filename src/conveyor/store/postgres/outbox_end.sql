DELETE FROM conveyor_outbox_batch WHERE number = :number

DELETE FROM conveyor_outbox_batch WHERE target = :target AND number = :number

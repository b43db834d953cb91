SELECT count(*) FROM conveyor_outbox WHERE id = :id

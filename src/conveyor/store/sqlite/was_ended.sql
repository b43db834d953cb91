SELECT count(*) FROM conveyor_history WHERE id = :id AND token = :token

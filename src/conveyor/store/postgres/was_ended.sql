SELECT count(*) FROM conveyor_ended(:id) WHERE token = :token

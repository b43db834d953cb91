SELECT count(*) FROM conveyor_runner WHERE expires_at > conveyor_now()

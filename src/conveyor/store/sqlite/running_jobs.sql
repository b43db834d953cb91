SELECT count(*) FROM conveyor_job WHERE state = 'running'

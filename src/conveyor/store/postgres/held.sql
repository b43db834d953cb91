SELECT uuid_send(j.id), j.token FROM conveyor_job j WHERE j.state = 'running' AND j.runner = :runner

DELETE FROM conveyor_runner WHERE id = :runner

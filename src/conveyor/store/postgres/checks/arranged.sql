SELECT there, ahead, overdue, stray FROM conveyor_arranged(:most)

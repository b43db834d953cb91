SELECT made, dropped, held FROM conveyor_arrange()

SELECT setval('conveyor_bell', greatest(conveyor_now() + :window, (SELECT last_value FROM conveyor_bell)))

SELECT count(*) FROM conveyor_history WHERE delete_after <= :now

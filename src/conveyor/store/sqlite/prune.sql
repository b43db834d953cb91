DELETE FROM conveyor_history WHERE rowid IN (
    SELECT rowid FROM conveyor_history WHERE delete_after <= :now LIMIT :limit)

SELECT EXISTS (SELECT 1 FROM conveyor_job WHERE queue = :queue AND priority = 0 AND run_after <= :now)

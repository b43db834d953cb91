-- The clock is read once, in a query of its own: a volatile function in the condition would keep the index from it.
SELECT EXISTS (SELECT 1 FROM conveyor_job
               WHERE queue = :queue AND priority = 0 AND run_after <= (SELECT conveyor_now()))

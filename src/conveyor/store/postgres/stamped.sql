-- The time at which a job is made ready, read once the transaction has its id: a claimer that has seen all
-- transactions up to some id end has then seen all that was stamped before it noted that id.
CASE WHEN pg_current_xact_id() IS NOT NULL THEN conveyor_now() END

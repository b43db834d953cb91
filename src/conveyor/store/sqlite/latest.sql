-- Whatever was cancelled by the million, so many are looked at and no more. They come in the order of the inner query:
-- to say it again would be to sort all of them, where the first few are enough.
SELECT queue, run_after, last_attempted_at, run_time FROM (
    SELECT state, queue, run_after, last_attempted_at, run_time FROM conveyor_history ORDER BY id DESC LIMIT :among
) AS newest
WHERE state IN ('succeeded', 'failed') LIMIT :limit

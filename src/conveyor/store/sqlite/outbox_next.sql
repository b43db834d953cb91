-- The oldest that are in no batch yet: at most so many, and no more bytes than that, but for the first.
SELECT position, put_at, :now, job
FROM (
    SELECT position, put_at, job, row_number() OVER sofar AS place, sum(length(CAST(job AS BLOB))) OVER sofar AS size
    FROM (
        SELECT position, put_at, job FROM conveyor_outbox
        WHERE target = :target AND position > :since AND position NOT IN {outbox_positions}
        ORDER BY position LIMIT :limit
    ) AS oldest
    WINDOW sofar AS (ORDER BY position)
) AS sized
WHERE place = 1 OR size <= :bytes
ORDER BY position

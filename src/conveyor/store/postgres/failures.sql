-- One group for each fingerprint; the id is that of the job enqueued last.
SELECT grouped.fingerprint, grouped.jobs, grouped.first, grouped.latest, uuid_send(sample.id), sample.task,
       sample.attempts
FROM (
    SELECT fingerprint, count(*) AS jobs, min(finished_at) AS first, max(finished_at) AS latest
    FROM conveyor_history WHERE fingerprint IS NOT NULL AND {where}
    GROUP BY fingerprint ORDER BY jobs DESC, fingerprint LIMIT :limit
) AS grouped
CROSS JOIN LATERAL (
    SELECT h.id, h.task, h.attempts FROM conveyor_history h
    WHERE h.fingerprint = grouped.fingerprint AND {where} ORDER BY h.id DESC LIMIT 1
) AS sample
ORDER BY grouped.jobs DESC, grouped.fingerprint

-- One group for each fingerprint; the id is that of the job enqueued last.
SELECT fingerprint, jobs, first, latest, id, task, attempts FROM (
    SELECT fingerprint, count(*) AS jobs, min(finished_at) AS first, max(finished_at) AS latest, max(id) AS sample
    FROM conveyor_history WHERE fingerprint IS NOT NULL AND {where} GROUP BY fingerprint
    ORDER BY jobs DESC, fingerprint LIMIT :limit
) AS grouped CROSS JOIN (SELECT id, task, attempts FROM conveyor_history) AS sample ON sample.id = grouped.sample
ORDER BY jobs DESC, fingerprint

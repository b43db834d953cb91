UPDATE conveyor_job
SET state = 'running', runner = :runner, attempt = attempt + 1, token = max(token + 1, :now),
    started_at = coalesce(started_at, :now), last_attempted_at = :now,
    unique_key = CASE WHEN until_start THEN NULL ELSE unique_key END
WHERE seq IN (SELECT value FROM json_each(:seqs))

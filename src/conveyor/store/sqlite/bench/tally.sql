SELECT (SELECT count(*) FROM conveyor_job WHERE task <> :filled), count(*), count(*) FILTER (WHERE state = 'succeeded'),
       coalesce(min(started_at), 0), coalesce(max(finished_at), 0)
FROM conveyor_history WHERE task <> :filled

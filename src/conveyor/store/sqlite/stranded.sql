-- Whether a runner lives is asked once for each, for it takes a look at a file.
SELECT count(*) FROM conveyor_job WHERE state = 'running' AND runner IN (
    SELECT runner FROM (SELECT DISTINCT runner FROM conveyor_job WHERE state = 'running')
    WHERE NOT conveyor_alive(runner))

(SELECT count(*) FROM (SELECT 1 FROM conveyor_job j WHERE j.queue = named.name AND j.state = 'waiting'
 AND j.run_after <= clock.now LIMIT :enough) AS counted),
(SELECT count(*) FROM (SELECT 1 FROM conveyor_job j WHERE j.queue = named.name AND j.state = 'waiting'
 AND j.run_after > clock.now AND j.attempts IS NULL LIMIT :enough) AS counted),
(SELECT count(*) FROM (SELECT 1 FROM conveyor_job j WHERE j.queue = named.name AND j.state = 'waiting'
 AND j.run_after > clock.now AND j.attempts IS NOT NULL LIMIT :enough) AS counted),
(SELECT count(*) FROM (SELECT 1 FROM conveyor_job j WHERE j.queue = named.name AND j.state = 'running'
 LIMIT :enough) AS counted),
(SELECT min(j.run_after) FROM conveyor_job j
 WHERE j.queue = named.name AND j.state = 'waiting' AND j.run_after <= clock.now)

-- Lane by lane, so that none of these passes over what another one counts. Where running jobs are: see started.sql.
WITH RECURSIVE {lanes_of}
SELECT least(coalesce(sum(each.ready), 0)::bigint, :enough) AS ready,
       least(coalesce(sum(each.scheduled), 0)::bigint, :enough) AS scheduled,
       (SELECT count(*) FROM (SELECT FROM conveyor_job j WHERE j.queue = named.name AND j.state = 'waiting'
        AND j.run_after > clock.now AND j.attempts IS NOT NULL ORDER BY j.run_after LIMIT :enough) AS counted)
           AS retryable,
       least(coalesce(sum(each.running), 0)::bigint, :enough) AS running,
       min(each.oldest) AS oldest
FROM lane CROSS JOIN LATERAL (
    SELECT (SELECT count(*) FROM (SELECT FROM conveyor_job j WHERE j.queue = named.name AND j.priority = lane.priority
            AND j.run_after <= clock.now AND j.state = 'waiting'
            ORDER BY j.run_after LIMIT :enough) AS counted) AS ready,
           (SELECT count(*) FROM (SELECT FROM conveyor_job j WHERE j.queue = named.name AND j.priority = lane.priority
            AND j.run_after > clock.now AND j.state = 'waiting' AND j.attempts IS NULL
            ORDER BY j.run_after LIMIT :enough) AS counted) AS scheduled,
           (SELECT count(*) FROM (SELECT j.state FROM conveyor_job j WHERE j.queue = named.name
            AND j.priority = lane.priority AND j.run_after <= clock.now + 60000000
            ORDER BY j.run_after LIMIT 20000) AS head WHERE head.state = 'running') AS running,
           (SELECT j.run_after FROM conveyor_job j WHERE j.queue = named.name AND j.priority = lane.priority
            AND j.run_after <= clock.now AND j.state = 'waiting' ORDER BY j.run_after LIMIT 1) AS oldest
) AS each

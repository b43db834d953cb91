-- Lane by lane, so that what is due is not passed over to count what is scheduled, nor the other way round. A running
-- job was due by the clock of its claim, which another server's may be a little behind.
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
           (SELECT count(*) FROM (SELECT FROM conveyor_job j WHERE j.queue = named.name AND j.priority = lane.priority
            AND j.run_after <= clock.now + 60000000 AND j.state = 'running'
            ORDER BY j.run_after LIMIT :enough) AS counted) AS running,
           (SELECT j.run_after FROM conveyor_job j WHERE j.queue = named.name AND j.priority = lane.priority
            AND j.run_after <= clock.now AND j.state = 'waiting' ORDER BY j.run_after LIMIT 1) AS oldest
) AS each

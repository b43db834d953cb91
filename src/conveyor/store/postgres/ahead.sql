WITH clock AS MATERIALIZED (SELECT conveyor_now() AS now),
named AS (SELECT CAST(:queue AS text) AS name)
SELECT count(*) FROM (
    SELECT FROM clock CROSS JOIN named CROSS JOIN LATERAL (
        WITH RECURSIVE {lanes_of}
        SELECT j.ctid FROM lane CROSS JOIN LATERAL (
            SELECT j.ctid FROM conveyor_job j
            WHERE j.queue = named.name AND j.priority = lane.priority AND j.state = 'waiting'
              AND j.run_after <= CASE WHEN lane.priority > :priority THEN clock.now
                                      ELSE least(clock.now, :run_after - 1) END
            ORDER BY j.run_after LIMIT :limit
        ) AS j
        WHERE lane.priority >= :priority
    ) AS before
    LIMIT :limit
) AS counted

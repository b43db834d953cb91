UPDATE conveyor_runner SET expires_at = clock.now + :lease
FROM (SELECT conveyor_now() AS now) AS clock
WHERE id = :runner AND expires_at > clock.now

UPDATE conveyor_runner SET expires_at = clock.now + :lease
FROM (SELECT conveyor_now() AS now) AS clock
WHERE id = ANY (:ids::uuid[]) AND expires_at > clock.now
RETURNING uuid_send(id)

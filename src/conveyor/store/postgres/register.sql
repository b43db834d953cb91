INSERT INTO conveyor_runner (id, expires_at, started_at, info)
VALUES (:runner, conveyor_now() + :lease, conveyor_now(), :info)
ON CONFLICT (id) DO NOTHING

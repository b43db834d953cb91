INSERT INTO conveyor_runner (id, started_at, info) VALUES (:runner, :now, :info) ON CONFLICT (id) DO NOTHING

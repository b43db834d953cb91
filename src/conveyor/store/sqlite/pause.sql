INSERT INTO conveyor_queue (name, paused_at) VALUES (:queue, :now) ON CONFLICT (name) DO NOTHING

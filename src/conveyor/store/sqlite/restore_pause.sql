INSERT INTO conveyor_queue (name, paused_at) VALUES (:queue, :since) ON CONFLICT (name) DO NOTHING

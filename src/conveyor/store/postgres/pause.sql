INSERT INTO conveyor_queue (name, paused_at) VALUES (:queue, conveyor_now()) ON CONFLICT (name) DO NOTHING

INSERT INTO conveyor_schedule (name, spec, declared, next_at, tick, fired, times, overlap, paused_at, job, version, created_at)
VALUES (:name, :spec, :declared, :next_at, :tick, :fired, :times, :overlap, :paused_at, :job, :version, :created_at)
ON CONFLICT (name) DO NOTHING

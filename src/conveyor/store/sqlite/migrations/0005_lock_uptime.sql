-- When a lock runs out, by a clock that nobody sets: microseconds since the machine's start "boot". It counts while
-- "counted" is the lock's token, for who knows nothing of it writes "expires_at" alone.
ALTER TABLE conveyor_lock ADD COLUMN boot TEXT;
ALTER TABLE conveyor_lock ADD COLUMN runs_out INTEGER;
ALTER TABLE conveyor_lock ADD COLUMN counted INTEGER;

-- Where a schedule stands.

-- Note the next tick of a schedule, or that there is none.
local function note_tick(name, next_at, paused)
  if next_at and not paused then
    redis.call('ZADD', P .. 'ticks', next_at, name)
  else
    redis.call('ZREM', P .. 'ticks', name)
  end
end

local function set_or_drop(key, name, value)
  if value then redis.call('HSET', key, name, value) else redis.call('HDEL', key, name) end
end

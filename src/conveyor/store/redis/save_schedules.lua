-- uses keys, closed, guarded, ticks
-- Each schedule that is still at its edit's version is as that says. ARGV: eight for each; the answer: their names.
despite_want()
touch()
local at, saved = clock(), {}
for n = 1, #ARGV, 8 do
  local name, version = ARGV[n], ARGV[n + 1]
  local key = P .. 'schedule:' .. name
  local stands = redis.call('HGET', key, 'version')
  if (stands or '0') == version then
    local next_at, paused_at = given(ARGV[n + 4]), given(ARGV[n + 5])
    redis.call('HSET', key, 'spec', ARGV[n + 2], 'overlap', ARGV[n + 7], 'version', version + 1)
    set_or_drop(key, 'declared', given(ARGV[n + 3]))
    set_or_drop(key, 'next_at', next_at)
    set_or_drop(key, 'paused_at', paused_at)
    set_or_drop(key, 'times', given(ARGV[n + 6]))
    if not stands then
      redis.call('HSET', key, 'created_at', at, 'fired', 0)
      redis.call('ZADD', P .. 'schedules', 0, name)
    end
    note_tick(name, next_at, paused_at)
    saved[#saved + 1] = name
  end
end
if #saved > 0 then ring('t') end
return saved

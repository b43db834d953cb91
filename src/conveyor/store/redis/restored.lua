-- uses keys, ticks
-- Schedules of another store's, as they were there, and paused queues; those that are known stay as they are. ARGV: how
-- many schedules, for each its name and FIELDS; then queues, and since when they are paused.
touch()
local FIELDS = {'spec', 'declared', 'next_at', 'tick', 'fired', 'paused_at', 'job', 'version', 'created_at', 'times',
                'overlap'}
local n = 2
for _ = 1, tonumber(ARGV[1]) do
  local name = ARGV[n]
  local key = P .. 'schedule:' .. name
  if redis.call('EXISTS', key) == 0 then
    local row = {}
    for place, field in ipairs(FIELDS) do
      row[field] = given(ARGV[n + place])
      set_or_drop(key, field, row[field])
    end
    redis.call('ZADD', P .. 'schedules', 0, name)
    note_tick(name, row.next_at, row.paused_at)
  end
  n = n + #FIELDS + 1
end
for queue = n, #ARGV, 2 do redis.call('HSETNX', P .. 'paused', ARGV[queue], ARGV[queue + 1]) end

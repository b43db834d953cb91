-- uses keys
-- Schedules, whole. ARGV[1]: 'all', 'named' with names, or 'coming' and up to how many that are due. The answer: the
-- clock, when the next one comes that is not due, and the schedules.
local at, names, soonest = clock(), {}, false
if ARGV[1] == 'coming' then
  names = redis.call('ZRANGEBYSCORE', P .. 'ticks', '-inf', at, 'LIMIT', 0, ARGV[2])
  soonest = redis.call('ZRANGEBYSCORE', P .. 'ticks', '(' .. digits(at), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2] or false
elseif ARGV[1] == 'all' then
  names = redis.call('ZRANGE', P .. 'schedules', 0, -1)
else
  for n = 2, #ARGV do names[n - 1] = ARGV[n] end
end
local answer = {digits(at), soonest}
for _, name in ipairs(names) do
  local row = redis.call('HMGET', P .. 'schedule:' .. name, 'spec', 'declared', 'next_at', 'tick', 'fired', 'paused_at',
                         'job', 'version', 'created_at')
  if row[1] then
    table.insert(row, 1, name)
    row[#row + 1] = digits(at)
    answer[#answer + 1] = row
  end
end
return answer

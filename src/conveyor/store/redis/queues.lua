-- uses keys
-- The queues ARGV with what is in them. See QueueInfo.
local at = clock()
local answer = {}
for _, name in ipairs(ARGV) do
  local due, later, oldest, begins = 0, 0, nil, lanes_begin(name)
  for _, lane in ipairs(redis.call('ZRANGE', lanes_key(name), 0, -1)) do
    local key = begins .. lane
    local all, first = redis.call('ZCARD', key), tonumber(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2] or at + 1)
    local ready = first <= at and (all > 1 and redis.call('ZCOUNT', key, '-inf', at) or all) or 0
    due, later = due + ready, later + all - ready
    if ready > 0 and (not oldest or first < oldest) then oldest = first end
  end
  local failed = redis.call('ZCOUNT', P .. 'retry:' .. name, '(' .. digits(at), '+inf')
  answer[#answer + 1] = {name, redis.call('HGET', P .. 'paused', name), digits(at), due, later - failed, failed,
                         redis.call('ZCARD', running_key(name)), oldest and digits(oldest) or false}
end
return answer

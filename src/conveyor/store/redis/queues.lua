-- uses keys
-- The queues ARGV with what is in them. See QueueInfo.
local at = clock()
local answer = {}
for _, name in ipairs(ARGV) do
  local due, later, oldest = 0, 0, nil
  for _, lane in ipairs(redis.call('ZRANGE', lanes_key(name), 0, -1)) do
    local colon = string.find(lane, ':', 1, true)
    local key = lane_key(name, string.sub(lane, 1, colon - 1), string.sub(lane, colon + 1))
    local ready = redis.call('ZCOUNT', key, '-inf', at)
    due, later = due + ready, later + redis.call('ZCARD', key) - ready
    local first = ready > 0 and tonumber(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2])
    if first and (not oldest or first < oldest) then oldest = first end
  end
  local failed = redis.call('ZCOUNT', P .. 'retry:' .. name, '(' .. digits(at), '+inf')
  answer[#answer + 1] = {name, redis.call('HGET', P .. 'paused', name), digits(at), due, later - failed, failed,
                         redis.call('ZCARD', running_key(name)), oldest and digits(oldest) or false}
end
return answer

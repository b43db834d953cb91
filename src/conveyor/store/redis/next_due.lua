-- uses keys
-- Microseconds until the next job of the queues ARGV[2] on comes due; ARGV[1]: what came due by then was seen.
local at, soonest = clock(), nil
local since = tonumber(given(ARGV[1]) or at)
for n = 2, #ARGV do
  for _, lane in ipairs(redis.call('ZRANGE', lanes_key(ARGV[n]), 0, -1)) do
    local colon = string.find(lane, ':', 1, true)
    local key = lane_key(ARGV[n], string.sub(lane, 1, colon - 1), string.sub(lane, colon + 1))
    local next_ = redis.call('ZRANGEBYSCORE', key, '(' .. digits(since), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
    if next_ and (not soonest or tonumber(next_) < soonest) then soonest = tonumber(next_) end
  end
end
return soonest and digits(soonest - at) or false

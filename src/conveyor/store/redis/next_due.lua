-- uses keys
-- When the next job comes due of the queues ARGV[3] on, as far as one call looks: at some hundreds of lanes, of the first
-- queue from the cursor ARGV[2] on. ARGV[1]: what came due by then was seen. The answer: the clock, how many queues are
-- done with, the cursor in the next one, and that time.
local LANES = 500
local at, seen, soonest = clock(), 0, nil
local since, cursor, n = digits(given(ARGV[1]) or at), ARGV[2], 3
while ARGV[n] and seen < LANES do
  local found = redis.call('ZSCAN', lanes_key(ARGV[n]), cursor, 'COUNT', LANES - seen)
  cursor, seen = found[1], seen + 1
  for place = 1, #found[2], 2 do
    local lane = found[2][place]
    local colon = string.find(lane, ':', 1, true)
    local key = lane_key(ARGV[n], string.sub(lane, 1, colon - 1), string.sub(lane, colon + 1))
    local next_ = redis.call('ZRANGEBYSCORE', key, '(' .. since, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
    if next_ and (not soonest or tonumber(next_) < soonest) then soonest = tonumber(next_) end
    seen = seen + 1
  end
  if cursor == '0' then n = n + 1 end
end
return {digits(at), n - 3, cursor, soonest and digits(soonest) or false}

-- uses keys
-- 1 when jobs of the queue ARGV[1] are due or running.
local at = digits(clock())
if redis.call('EXISTS', running_key(ARGV[1])) == 1 then return 1 end
for _, lane in ipairs(redis.call('ZRANGE', lanes_key(ARGV[1]), 0, -1)) do
  local colon = string.find(lane, ':', 1, true)
  local key = lane_key(ARGV[1], string.sub(lane, 1, colon - 1), string.sub(lane, colon + 1))
  if redis.call('ZCOUNT', key, '-inf', at) > 0 then return 1 end
end
return 0

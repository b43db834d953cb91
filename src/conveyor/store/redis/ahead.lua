-- uses keys
-- How many due jobs of a queue come before one. ARGV: queue, priority, from when on it may start.
local at, before, own, begins = clock(), 0, tonumber(ARGV[2]), lanes_begin(ARGV[1])
for _, lane in ipairs(redis.call('ZRANGE', lanes_key(ARGV[1]), 0, -1)) do
  local colon = string.find(lane, ':', 1, true)
  local priority = tonumber(string.sub(lane, 1, colon - 1))
  local key = begins .. lane
  if priority > own then
    before = before + redis.call('ZCOUNT', key, '-inf', at)
  elseif priority == own then
    before = before + redis.call('ZCOUNT', key, '-inf', '(' .. digits(math.min(at + 1, tonumber(ARGV[3]))))
  end
end
return before

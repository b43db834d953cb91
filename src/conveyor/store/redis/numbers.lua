-- uses keys
-- Numbers that need no look at any job. ARGV[1] says which.
local at = clock()
if ARGV[1] == 'clock' then return digits(at) end
if ARGV[1] == 'prunable' then return redis.call('ZCOUNT', P .. 'gone', '-inf', at) end
local dead = redis.call('ZRANGEBYSCORE', P .. 'runners', '-inf', at)
if ARGV[1] == 'dead' then return #dead end
local stranded = 0
for _, runner in ipairs(dead) do stranded = stranded + redis.call('HLEN', P .. 'held:' .. runner) end
return stranded

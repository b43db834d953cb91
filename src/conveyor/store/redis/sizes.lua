-- uses keys
-- How many jobs have ended in each of the states ARGV.
local answer = {}
for n, state in ipairs(ARGV) do answer[n] = redis.call('ZCARD', P .. 'past:' .. state) end
return answer

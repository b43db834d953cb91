-- uses keys, bell, jobs, ends
-- Id and token of each job that a runner holds.
local flat = redis.call('HGETALL', P .. 'held:' .. ARGV[1])
for n = 2, #flat, 2 do flat[n] = held_as(flat[n]) end
return flat

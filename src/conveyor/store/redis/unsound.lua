-- uses keys, bell, jobs, ends, sound
-- Of the unfinished jobs at the place ARGV[1], ARGV[2] or so, those that are not found where they say. The answer: the next
-- place, how many were looked at, and how many these are.
local read = redis.call('ZSCAN', LIVE, ARGV[1], 'COUNT', ARGV[2])
local amiss = 0
for n = 1, #read[2], 2 do
  local job = own(read[2][n])
  if not job or job.ended or fault(job) then amiss = amiss + 1 end
end
return {read[1], #read[2] / 2, amiss}

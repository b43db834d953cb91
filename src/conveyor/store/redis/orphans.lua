-- uses keys
-- The jobs of up to ARGV[1] runners whose lease is over. A claim and its runner's lease are one step: nothing comes
-- later, so a dead runner that holds nothing is forgotten.
despite_want()
local at, limit, found, answer = clock(), tonumber(ARGV[1]), 0, {}

-- The jobs of a runner; one that somebody has deleted is forgotten.
local function jobs_of(runner)
  local jobs = {}
  for _, id in ipairs(redis.call('HKEYS', P .. 'held:' .. runner)) do
    local job = redis.call('HMGET', P .. 'job:' .. id, 'token', 'attempt', 'max_attempts', 'crashes', 'attempts',
                           'last_attempted_at', 'task', 'queue', 'extras', 'started_at')
    if job[3] then
      jobs[#jobs + 1] = {id, job[1], runner, job[2], job[3], job[4], job[5], job[6] or job[10], digits(at), job[7],
                         job[8], job[9]}
    else
      redis.call('HDEL', P .. 'held:' .. runner, id)
    end
  end
  return jobs
end

for _, runner in ipairs(redis.call('ZRANGEBYSCORE', P .. 'runners', '-inf', at)) do
  local jobs = found < limit and jobs_of(runner) or {}
  if #jobs > 0 then
    found = found + 1
    for _, job in ipairs(jobs) do
      job[#job + 1] = #jobs
      answer[#answer + 1] = job
    end
  elseif redis.call('EXISTS', P .. 'held:' .. runner) == 0 then
    redis.call('ZREM', P .. 'runners', runner)
    redis.call('DEL', P .. 'runner:' .. runner)
  end
end
return answer

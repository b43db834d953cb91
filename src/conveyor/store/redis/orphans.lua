-- uses keys
-- The jobs of up to ARGV[1] runners whose lease is over, ARGV[2] jobs at most. A claim and its runner's lease are one
-- step: nothing comes later, so a dead runner that holds nothing is forgotten, and no other is.
despite_want()
local at, limit, most, found, answer = clock(), tonumber(ARGV[1]), tonumber(ARGV[2]), 0, {}

-- How many jobs a runner held before any of them was taken back; written down as long as that is told in several calls.
local function company(runner, held, more)
  local key = P .. 'company:' .. runner
  local all = math.max(redis.call('GET', key) or 0, held)
  if more then redis.call('SET', key, all, 'EX', 86400) end
  return all
end

-- A job that somebody has deleted is forgotten.
local function read(runner, id)
  local job = redis.call('HMGET', P .. 'job:' .. id, 'token', 'attempt', 'max_attempts', 'crashes', 'attempts',
                         'last_attempted_at', 'task', 'queue', 'extras', 'started_at')
  if not job[3] then
    redis.call('HDEL', P .. 'held:' .. runner, id)
    return
  end
  return {id, job[1], runner, job[2], job[3], job[4], job[5], job[6] or job[10], digits(at), job[7], job[8], job[9]}
end

-- Whether it holds any; those for which there is room are told.
local function tell(runner)
  local ids, jobs, n = redis.call('HKEYS', P .. 'held:' .. runner), {}, 1
  while ids[n] and #answer + #jobs < most do
    jobs[#jobs + 1] = read(runner, ids[n])
    n = n + 1
  end
  local all = company(runner, #jobs + #ids - n + 1, ids[n])
  for _, job in ipairs(jobs) do
    job[13] = all
    answer[#answer + 1] = job
  end
  return jobs[1] or ids[n]
end

for _, runner in ipairs(redis.call('ZRANGEBYSCORE', P .. 'runners', '-inf', at)) do
  if found < limit and #answer < most and tell(runner) then
    found = found + 1
  elseif redis.call('EXISTS', P .. 'held:' .. runner) == 0 then
    redis.call('ZREM', P .. 'runners', runner)
    redis.call('DEL', P .. 'runner:' .. runner)
  end
end
return answer

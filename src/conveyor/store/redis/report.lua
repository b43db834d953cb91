-- uses keys
-- The progress of running jobs, where job, token and runner agree: four arguments for each. The answer: those that are
-- not here.
despite_want()
touch()
local missing = {}
for n = 1, #ARGV, 4 do
  local key = job_key(ARGV[n])
  local job = redis.call('HMGET', key, 'state', 'token', 'runner')
  if job[1] == 'running' and job[2] == ARGV[n + 1] and job[3] == ARGV[n + 2] then
    redis.call('HSET', key, 'progress', ARGV[n + 3])
  elseif not job[1] then
    missing[#missing + 1] = ARGV[n]
  end
end
return missing

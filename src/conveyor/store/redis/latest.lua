-- uses keys, parts, reading
-- The newest that succeeded or failed, up to ARGV[1].
local answer = {}
for _, id in ipairs(following({'past:succeeded', 'past:failed'}, '', true, tonumber(ARGV[1]))) do
  local job = redis.call('HMGET', job_key(id), 'queue', 'run_after', 'last_attempted_at', 'run_time', 'started_at')
  answer[#answer + 1] = {id, job[1], job[2], job[3] or job[5], job[4]}
end
return answer

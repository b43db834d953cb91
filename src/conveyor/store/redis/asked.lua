-- uses keys
-- Id, token and reason of each job of a runner that somebody wants cancelled.
local answer = {}
for _, id in ipairs(redis.call('SMEMBERS', P .. 'asked:' .. ARGV[1])) do
  local job = redis.call('HMGET', job_key(id), 'token', 'cancelled')
  answer[#answer + 1] = {id, job[1], job[2]}
end
return answer

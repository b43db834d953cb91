-- uses keys, reading
-- The newest that succeeded or failed, up to ARGV[1].
local answer = {}
for _, id in ipairs(following({'past:succeeded', 'past:failed'}, '', true, tonumber(ARGV[1]))) do
  answer[#answer + 1] = redis.call('HMGET', job_key(id), 'queue', 'run_after', 'last_attempted_at', 'run_time')
  table.insert(answer[#answer], 1, id)
end
return answer

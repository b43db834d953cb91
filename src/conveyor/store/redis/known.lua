-- uses keys
-- Those of the ids ARGV that there are.
local answer = {}
for _, id in ipairs(ARGV) do
  if redis.call('EXISTS', job_key(id)) == 1 then answer[#answer + 1] = id end
end
return answer

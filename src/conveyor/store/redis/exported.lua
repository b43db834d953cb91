-- uses keys, parts, reading, entire
-- Up to ARGV[2] jobs, whole, from behind the id ARGV[1].
local answer, indexes = {}, {'live', 'past:succeeded', 'past:failed', 'past:cancelled', 'past:quarantined'}
for n, id in ipairs(following(indexes, ARGV[1], false, tonumber(ARGV[2]))) do answer[n] = entire(id) end
return answer

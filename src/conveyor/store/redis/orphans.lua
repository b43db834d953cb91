-- uses keys
-- The jobs of up to ARGV[1] runners whose lease is over. A claim and its runner's lease are one step: nothing comes
-- later, so a dead runner that holds nothing is forgotten.
local at, limit, found, answer = clock(), tonumber(ARGV[1]), 0, {}
for _, runner in ipairs(redis.call('ZRANGEBYSCORE', P .. 'runners', '-inf', at)) do
  local held = redis.call('HKEYS', P .. 'held:' .. runner)
  if #held == 0 then
    redis.call('ZREM', P .. 'runners', runner)
    redis.call('DEL', P .. 'runner:' .. runner)
  elseif found < limit then
    found = found + 1
    for _, id in ipairs(held) do
      local job = redis.call('HMGET', P .. 'job:' .. id, 'token', 'attempt', 'max_attempts', 'crashes', 'attempts',
                             'last_attempted_at', 'task', 'queue', 'extras', 'started_at')
      answer[#answer + 1] = {id, job[1], runner, job[2], job[3], job[4], job[5], job[6] or job[10],
                             digits(at), job[7], job[8], job[9], #held}
    end
  end
end
return answer

-- uses keys, bell, closed, guarded, jobs, ends
-- Up to ARGV[1] waiting jobs whose time is over are cancelled, for the reason ARGV[2]. The answer: how many, and the last
-- of their ids; then their queues.
despite_want()
local at, queues, last = clock(), {}, ''
local over = redis.call('ZRANGEBYSCORE', P .. 'expiring', '-inf', at, 'LIMIT', 0, ARGV[1])
for _, id in ipairs(over) do
  local queue = cancel_waiting(id, ARGV[2], at)
  if queue then queues[queue] = true end
  if id > last then last = id end
end
write_noted()
local answer = {#over, last}
for queue in pairs(queues) do answer[#answer + 1] = queue end
return answer

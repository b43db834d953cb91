-- uses keys
-- The due jobs of the queue ARGV[1] by task: its name, how many, since when, and the clock.
local at, tasks = clock(), {}
for _, lane in ipairs(redis.call('ZRANGE', lanes_key(ARGV[1]), 0, -1)) do
  local colon = string.find(lane, ':', 1, true)
  local task = string.sub(lane, colon + 1)
  local key = lane_key(ARGV[1], string.sub(lane, 1, colon - 1), task)
  local due = redis.call('ZCOUNT', key, '-inf', at)
  if due > 0 then
    local since = tonumber(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2])
    local known = tasks[task] or {0, since}
    tasks[task] = {known[1] + due, math.min(known[2], since)}
  end
end
local answer = {}
for task, found in pairs(tasks) do answer[#answer + 1] = {task, found[1], digits(found[2]), digits(at)} end
return answer

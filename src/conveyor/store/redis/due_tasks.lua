-- uses keys, heads
-- The due jobs of the queue ARGV[1] by task, of the first ARGV[2] that would be claimed: its name, how many, since when,
-- and the clock.
local at, room, found = clock(), tonumber(ARGV[2]), {}
local now = digits(at)

local function take(priority, tasks)
  local due = heads(ARGV[1], priority, tasks, room, at)
  for n = 1, #due, 3 do
    local run_after, task = tonumber(due[n + 1]), due[n + 2]
    local known = found[task] or {0, run_after}
    found[task] = {known[1] + 1, math.min(known[2], run_after)}
    room = room - 1
  end
end

by_priority(redis.call('ZRANGE', lanes_key(ARGV[1]), 0, -1), function(priority, tasks)
  if room > 0 then take(priority, tasks) end
end)
local answer = {}
for task, its in pairs(found) do answer[#answer + 1] = {task, its[1], digits(its[2]), now} end
return answer

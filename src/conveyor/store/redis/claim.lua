-- uses keys, jobs
-- Due jobs are the runner's, if its lease lives. ARGV: runner, how many tasks, these, then queues with their room.
local runner, at = ARGV[1], clock()
local now = digits(at)
local answer = {now}
local lease = redis.call('ZSCORE', P .. 'runners', runner)
if not lease or tonumber(lease) <= at then return answer end

local known, first, held = {}, 3 + ARGV[2], P .. 'held:' .. runner
for n = 3, first - 1 do known[ARGV[n]] = true end

local function sooner(a, b)
  if a.run_after ~= b.run_after then return a.run_after < b.run_after end
  return a.id < b.id
end

-- The first *room* that are due, of several lanes of one priority.
local function heads(queue, priority, tasks, room)
  local found = {}
  for _, task in ipairs(tasks) do
    local lane = redis.call('ZRANGEBYSCORE', lane_key(queue, priority, task), '-inf', now, 'WITHSCORES', 'LIMIT', 0, room)
    for n = 1, #lane, 2 do found[#found + 1] = {id = lane[n], run_after = tonumber(lane[n + 1]), task = task} end
  end
  if #tasks > 1 then table.sort(found, sooner) end
  for n = #found, room + 1, -1 do found[n] = nil end
  return found
end

local function start(id, task, queue, priority)
  local key = job_key(id)
  local job = redis.call('HMGET', key, 'run_after', 'attempt', 'max_attempts', 'crashes', 'token', 'timeout', 'args',
                         'attempts', 'expires_at', 'extras', 'cancelled', 'started_at', 'unique', 'until_start')
  local token, attempt = job[5] + 1, job[2] + 1
  token = token > at and digits(token) or now
  redis.call('HSET', key, 'state', 'running', 'runner', runner, 'attempt', attempt, 'token', token,
             'started_at', job[12] or now, 'last_attempted_at', now)
  if job[13] and job[14] then
    give_key_up(id, job[13])
    redis.call('HDEL', key, 'unique')
  end
  leave_line(id, queue, priority, task)
  note('ZADD', running_key(queue), now, id)
  note('HSET', held, id, token)
  return {id, task, queue, priority, job[1], attempt, job[3], job[4], token, job[6], job[7], job[8], now, job[9],
          job[10], job[11]}
end

-- What is left of the *room* of a queue, after its due jobs of one priority have been taken.
local function take(queue, priority, tasks, room)
  for _, head in ipairs(heads(queue, priority, tasks, room)) do
    answer[#answer + 1] = start(head.id, head.task, queue, priority)
    room = room - 1
  end
  return room
end

for n = first, #ARGV, 2 do
  local queue, room = ARGV[n], tonumber(ARGV[n + 1])
  local lanes = redis.call('HEXISTS', P .. 'paused', queue) == 0 and redis.call('ZRANGE', lanes_key(queue), 0, -1) or {}
  local priority, tasks = nil, {}
  for _, lane in ipairs(lanes) do
    local colon = string.find(lane, ':', 1, true)
    local its, task = string.sub(lane, 1, colon - 1), string.sub(lane, colon + 1)
    if its ~= priority then
      if room > 0 and #tasks > 0 then room = take(queue, priority, tasks, room) end
      priority, tasks = its, {}
    end
    if known[task] then tasks[#tasks + 1] = task end
  end
  if room > 0 and #tasks > 0 then take(queue, priority, tasks, room) end
end
write_noted()
return answer

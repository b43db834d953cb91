-- uses keys, bell, parts, jobs, heads
-- Due jobs are the runner's, if its lease lives; where room is left it rests, and will be rung. ARGV: runner, its ear or
-- nothing, for how many microseconds it rests, whether it comes because it was rung, how many tasks, these, then queues
-- with their room. The answer: the clock; when the next job comes due where room is left, nothing for never, null for a
-- runner without a lease; then by lane its queue, priority and task, and its jobs.
despite_want()
local runner, ear, rest, rung, at = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1', clock()
local now = digits(at)
local answer = {now, false}
local lease = redis.call('ZSCORE', P .. 'runners', runner)
if not lease or tonumber(lease) <= at then return answer end

local known, first, held = {}, 6 + ARGV[5], P .. 'held:' .. runner
for n = 6, first - 1 do known[ARGV[n]] = true end

-- A hash in which any value is longer than 64 bytes is a table; until then each look goes over it from its beginning.
local wide = string.rep(' ', 64)

local function held_of(token, queue)
  local held_ = wide .. token .. (queue and ':' .. queue or '')
  wide = ''
  return held_
end

-- The job is the runner's; what a claim gives of it. What few jobs have comes last, if there is any of it.
local function start(id, run_after, lane)
  local key = job_key(id)
  local job = redis.call('HMGET', key, 'max_attempts', 'timeout', 'args', 'more', 'attempt', 'token')
  if not job[1] then -- somebody has deleted it, or the server has thrown it away
    leave_line(id, lane)
    note('ZREM', LIVE, id)
    soonest = at -- there may be more
    return
  end
  local first_ = not job[5]
  local plain = first_ and not job[4]
  local attempt = first_ and '1' or digits(job[5] + 1)
  local token = job[6] and tonumber(job[6]) >= at and digits(job[6] + 1) or now
  redis.call('HSET', key, 'state', 'running', 'runner', runner, 'attempt', attempt, 'token', token,
             first_ and 'started_at' or 'last_attempted_at', now)
  leave_line(id, lane, first_, not job[4])
  note('ZADD', lane.running, now, id)
  note('HSET', held, id, held_of(token, plain and lane.queue))
  local row = {id, run_after, attempt, job[1], token, job[2], whole(key, 'args', job[3])}
  if plain then return row end
  local rare = redis.call('HMGET', key, 'crashes', 'attempts', 'expires_at', 'extras', 'cancelled', 'unique',
                          'until_start')
  if rare[6] and rare[7] then
    give_key_up(id, rare[6])
    redis.call('HDEL', key, 'unique')
  end
  for place = 1, 5 do row[#row + 1] = rare[place] end
  return row
end

-- What is left of the *room* of a queue, after its due jobs of one priority have been taken.
local function take(queue, priority, tasks, room)
  local taken, found = {}, heads(queue, priority, tasks, room, at)
  for n = 1, #found, 3 do
    local task = found[n + 2]
    local row = start(found[n], found[n + 1], lane_of(queue, priority, task))
    local of = taken[task]
    if row and not of then
      of = {queue, priority, task}
      taken[task] = of
      answer[#answer + 1] = of
    end
    if row then
      of[#of + 1] = row
      room = room - 1
    end
  end
  return room
end

-- Whether jobs are due there of tasks that the runner does not know. Not those that have been for long: whoever rests has
-- looked since, and does not know them either.
local function strange(queue, lanes)
  for place = 1, math.min(#lanes, 200) do
    local priority, task = split(lanes[place])
    local head = not known[task] and redis.call('ZRANGE', lane_key(queue, priority, task), 0, 0, 'WITHSCORES')[2]
    if head and tonumber(head) <= at and tonumber(head) > at - NEAR then return true end
  end
  return false
end

for n = first, #ARGV, 2 do
  local queue, most = ARGV[n], tonumber(ARGV[n + 1])
  local room = most
  local lanes = redis.call('HEXISTS', P .. 'paused', queue) == 0 and redis.call('ZRANGE', lanes_key(queue), 0, -1) or {}
  by_priority(lanes, function(priority, tasks)
    if room > 0 then room = take(queue, priority, tasks, room) end
  end, known)
  -- Somebody else is to look who may know them; nobody passes on what was passed on.
  if rung and room == most and strange(queue, lanes) then rouse(queue, ALL, '+') end
  if ear ~= '' and room > 0 then
    lie_down(queue, ear, rest)
  elseif ear ~= '' then
    redis.call('ZREM', resting_key(queue), ear)
  end
end
write_noted()
answer[2] = soonest and digits(soonest) or ''
return answer

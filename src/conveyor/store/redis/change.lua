-- uses keys, bell, closed, guarded, parts, jobs, ends, reading
-- What people do to jobs. ARGV: what, up to how many, from behind which id, why, the filter, the indexes.
-- The answer: the last id that was looked at, 1 when there are no more, the last that was picked, how many were picked,
-- changed, and asked; then the queues of those that were changed.
despite_want()
touch()
local at, what, limit, reason = clock(), ARGV[1], tonumber(ARGV[2]), ARGV[4]
local picked, changed, asked, queues, last_picked = 0, 0, 0, {}, ''

local function cancel(id, _, _, stored)
  if stored ~= 'waiting' then return end
  cancel_waiting(id, reason, at)
  return true
end

local function ask(id, _, _, stored)
  local job = redis.call('HMGET', job_key(id), 'cancelled', 'runner')
  if stored ~= 'running' or job[1] then return end
  redis.call('HSET', job_key(id), 'cancelled', reason)
  redis.call('SADD', P .. 'asked:' .. job[2], id)
  asked = asked + 1
  return true
end

local function hasten(id, state, queue)
  if state ~= 'scheduled' and state ~= 'retryable' then return end
  local job = redis.call('HMGET', job_key(id), 'priority', 'task', 'expires_at')
  leave_line(id, lane_of(queue, job[1], job[2]))
  redis.call('HSET', job_key(id), 'run_after', digits(at))
  line_up(id, lane_of(queue, job[1], job[2]), digits(at), state == 'retryable', job[3])
  return true
end

local function delete_waiting(id, _, queue, stored)
  if stored ~= 'waiting' then return end
  local job = redis.call('HMGET', job_key(id), 'priority', 'task', 'unique')
  leave_line(id, lane_of(queue, job[1], job[2]))
  redis.call('ZREM', P .. 'live', id)
  if job[3] then give_key_up(id, job[3]) end
  redis.call('DEL', job_key(id))
  emptied[queue] = true
  return true
end

local function delete_ended(id, state, _, stored)
  if stored == 'waiting' or stored == 'running' then return end
  take_out(id, state, redis.call('HGET', job_key(id), 'fingerprint'))
  redis.call('DEL', job_key(id))
  return true
end

-- It may run once more at least, and never expires. One whose unique key another holds by now is picked, and stays.
local function revive(id, state, queue, stored)
  if stored == 'waiting' or stored == 'running' then return end
  local key = job_key(id)
  local job = redis.call('HMGET', key, 'priority', 'task', 'unique', 'fingerprint', 'attempt', 'max_attempts',
                         'delete_after', 'finished_at')
  if job[3] and redis.call('HSETNX', P .. 'unique', job[3], id) == 0 then return false end
  take_out(id, state, job[4])
  redis.call('HDEL', key, 'finished_at', 'run_time', 'result', 'cancelled', 'fingerprint', 'delete_after', 'progress',
             'runner', unpack(later('result')))
  redis.call('HSET', key, 'state', 'waiting', 'run_after', digits(at), 'crashes', 0,
             'max_attempts', math.min(math.max(job[6], (job[5] or 0) + 1), 32767),
             'more', '1', 'keep', job[7] and job[7] - job[8] or -1)
  redis.call('ZADD', P .. 'live', 0, id)
  line_up(id, lane_of(queue, job[1], job[2]), digits(at), redis.call('HEXISTS', key, 'attempts') == 1, false)
  return true
end

local function call_off(...)
  return cancel(...) or ask(...)
end

local acts = {cancel = cancel, ask = ask, call_off = call_off, hasten = hasten, delete_waiting = delete_waiting,
              delete_ended = delete_ended, revive = revive}
local where, act = filter(5), acts[what]
local last, all = look(5 + FILTER, ARGV[3], false, function(id)
  local state, queue, stored = meant(id, where, at)
  local done = state and act(id, state, queue, stored)
  if done ~= nil and state then
    picked, last_picked = picked + 1, id
    if done then
      changed = changed + 1
      queues[queue] = true
    end
  end
  return picked >= limit
end)
write_noted()
if asked > 0 then ring('c') end
local answer = {last, all, last_picked, picked, changed, asked}
for queue in pairs(queues) do answer[#answer + 1] = queue end
return answer

-- How a job comes into the indexes, and leaves them. A job is one hash, wherever it stands; what is not there is null.
local STAY = 2592000000000 -- microseconds that an ended job stays: 30 days

local function line_up(id, queue, priority, task, run_after, failed, expires_at)
  redis.call('ZADD', lane_key(queue, priority, task), run_after, id)
  redis.call('ZADD', lanes_key(queue), 0 - priority, priority .. ':' .. task)
  redis.call('SADD', P .. 'queues', queue)
  if failed then redis.call('ZADD', retry_key(queue), run_after, id) end
  if expires_at then redis.call('ZADD', P .. 'expiring', expires_at, id) end
end

-- Several jobs of one lane at a time: at most a thousand, for they become arguments.
local function leave_line(queue, priority, task, ids)
  local lane = lane_key(queue, priority, task)
  redis.call('ZREM', lane, unpack(ids))
  redis.call('ZREM', retry_key(queue), unpack(ids))
  redis.call('ZREM', P .. 'expiring', unpack(ids))
  if redis.call('EXISTS', lane) == 0 then redis.call('ZREM', lanes_key(queue), priority .. ':' .. task) end
end

-- A queue is known for as long as it has unfinished jobs.
local function forget_empty(queue)
  if redis.call('EXISTS', lanes_key(queue), running_key(queue)) == 0 then redis.call('SREM', P .. 'queues', queue) end
end

local function give_key_up(id, key)
  if redis.call('HGET', P .. 'unique', key) == id then redis.call('HDEL', P .. 'unique', key) end
end

-- The job is not its runner's any more.
local function let_go(id, queue, runner)
  redis.call('ZREM', running_key(queue), id)
  redis.call('HDEL', P .. 'held:' .. runner, id)
  redis.call('SREM', P .. 'asked:' .. runner, id)
end

-- The job has ended, as *state*, and its own fields say so already.
local function put_away(id, state, at, queue, keep, unique, until_start, fingerprint)
  local key = job_key(id)
  redis.call('ZREM', P .. 'live', id)
  redis.call('ZADD', P .. 'past:' .. state, 0, id)
  if unique then give_key_up(id, unique) end
  redis.call('HDEL', key, 'expires_at', 'keep', 'until_start', until_start and 'unique' or 'until_start')
  local stay = tonumber(keep or STAY)
  if stay >= 0 then
    redis.call('HSET', key, 'delete_after', at + stay)
    redis.call('ZADD', P .. 'gone', at + stay, id)
  end
  if fingerprint then
    redis.call('HSET', key, 'fingerprint', fingerprint)
    redis.call('ZADD', P .. 'error:' .. fingerprint, at, id)
    redis.call('SADD', P .. 'errors', fingerprint)
  end
  forget_empty(queue)
end

-- An ended job leaves what is kept of ended jobs.
local function take_out(id, state, fingerprint)
  redis.call('ZREM', P .. 'past:' .. state, id)
  redis.call('ZREM', P .. 'gone', id)
  if fingerprint then
    redis.call('ZREM', P .. 'error:' .. fingerprint, id)
    if redis.call('EXISTS', P .. 'error:' .. fingerprint) == 0 then redis.call('SREM', P .. 'errors', fingerprint) end
  end
end

-- A job that waits ends as cancelled.
local function cancel_waiting(id, reason, at)
  local job = redis.call('HMGET', job_key(id), 'queue', 'priority', 'task', 'keep', 'unique', 'until_start')
  leave_line(job[1], job[2], job[3], {id})
  redis.call('HSET', job_key(id), 'state', 'cancelled', 'cancelled', reason, 'finished_at', at)
  put_away(id, 'cancelled', at, job[1], job[4], job[5], job[6])
  return job[1]
end

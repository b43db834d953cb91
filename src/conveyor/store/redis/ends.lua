-- How an attempt ends, and a job. `jobs` comes before this.
local STAY = 2592000000000 -- microseconds that an ended job stays: 30 days
local stays = {}
local hands = {} -- the latest runner and queue of `let_go`, and what they have

-- What a runner holds of a job that it has claimed, as claim.lua writes it: its token, and behind a colon the queue of one
-- that is plain: tried for the first time, and without anything that few jobs have.
local function held_as(held)
  if not held then return end
  local _, last, token = string.find(held, '(%d+)')
  return token, last < #held and string.sub(held, last + 2)
end

-- The job is not its runner's any more; whether somebody wants any of the runner's jobs cancelled.
local function let_go(id, queue, runner)
  if hands.queue ~= queue or hands.runner ~= runner then
    local asked = P .. 'asked:' .. runner
    hands = {queue = queue, runner = runner, running = running_key(queue), held = P .. 'held:' .. runner,
             asked = redis.call('EXISTS', asked) == 1 and asked}
  end
  note('ZREM', hands.running, id)
  note('HDEL', hands.held, id)
  if hands.asked then note('SREM', hands.asked, id) end
  return hands.asked
end

-- As text, how long the one that ends at *at* stays, by what it says of that; most say nothing.
local function leaves(at, stay)
  if not stays[stay] then stays[stay] = digits(at + stay) end
  return stays[stay]
end

-- The job is one of those that have ended, which is kept until then.
local function pass(id, queue, state, until_)
  note('ZREM', LIVE, id)
  note('ZADD', P .. 'past:' .. state, '0', id)
  if until_ then note('ZADD', GONE, until_, id) end
  emptied[queue] = true
end

-- The job ends, as *state*. *fields* are those that its end writes besides, names and values in turn; *job* is what it
-- has of queue, keep, unique, until_start, expires_at and cancelled.
local function put_away(id, state, at, job, fields, fingerprint)
  local key, n = job.key or job_key(id), #fields
  fields[n + 1], fields[n + 2], fields[n + 3], fields[n + 4] = 'state', state, 'finished_at', digits(at)
  local stay = tonumber(job.keep or STAY)
  local until_ = stay >= 0 and leaves(at, stay)
  if until_ then fields[n + 5], fields[n + 6] = 'delete_after', until_ end
  pass(id, job.queue, state, until_)
  if fingerprint then
    fields[#fields + 1] = 'fingerprint'
    fields[#fields + 1] = fingerprint
    note('ZADD', P .. 'error:' .. fingerprint, digits(at), id)
    note('SADD', P .. 'errors', fingerprint)
  end
  redis.call('HSET', key, unpack(fields))
  if job.unique then give_key_up(id, job.unique) end
  if job.keep or job.until_start or job.expires_at then
    redis.call('HDEL', key, 'expires_at', 'keep', 'until_start', job.until_start and 'unique' or 'until_start')
  end
  if job.cancelled and state ~= 'cancelled' then redis.call('HDEL', key, 'cancelled') end
end

-- An ended job leaves what is kept of ended jobs.
local function take_out(id, state, fingerprint)
  for _, its in ipairs(state and {state} or {'succeeded', 'failed', 'cancelled', 'quarantined'}) do
    redis.call('ZREM', P .. 'past:' .. its, id)
  end
  redis.call('ZREM', GONE, id)
  if fingerprint then
    redis.call('ZREM', P .. 'error:' .. fingerprint, id)
    if redis.call('EXISTS', P .. 'error:' .. fingerprint) == 0 then redis.call('SREM', P .. 'errors', fingerprint) end
  end
end

-- A job that waits ends as cancelled.
local function cancel_waiting(id, reason, at)
  local job = redis.call('HMGET', job_key(id), 'queue', 'priority', 'task', 'keep', 'unique', 'until_start', 'expires_at')
  if not job[1] then -- somebody has deleted it
    note('ZREM', EXPIRING, id)
    return
  end
  leave_line(id, lane_of(job[1], job[2], job[3]))
  put_away(id, 'cancelled', at, {queue = job[1], keep = job[4], unique = job[5], until_start = job[6],
                                 expires_at = job[7]}, {'cancelled', reason})
  return job[1]
end

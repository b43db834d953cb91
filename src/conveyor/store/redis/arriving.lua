-- One job on its way into the store: FIELDS arguments from *n* on, as plans.py lists them.
local FIELDS = 15

local function arriving(n)
  return {
    id = ARGV[n], task = ARGV[n + 1], queue = ARGV[n + 2], priority = ARGV[n + 3],
    due = tonumber(ARGV[n + 4]), delay = tonumber(ARGV[n + 5]), max_attempts = ARGV[n + 6],
    timeout = given(ARGV[n + 7]), args = ARGV[n + 8], expires = given(ARGV[n + 9]), keep = given(ARGV[n + 10]),
    extras = given(ARGV[n + 11]), unique = given(ARGV[n + 12]), until_start = given(ARGV[n + 13]),
    on_conflict = ARGV[n + 14],
  }
end

-- Jobs of one call come due 1 us apart, which keeps their order.
local function stamped(job, at, place)
  job.run_after = math.max(job.due, at + job.delay) + place
  if job.expires then job.expires_at = job.run_after + job.expires end
  return job
end

local function write(job)
  local rest = {}
  for _, name in ipairs({'timeout', 'keep', 'extras', 'unique', 'until_start', 'expires_at'}) do
    if job[name] then
      rest[#rest + 1] = name
      rest[#rest + 1] = job[name]
    end
  end
  redis.call('HSET', job_key(job.id), 'state', 'waiting', 'task', job.task, 'queue', job.queue,
             'priority', job.priority, 'run_after', job.run_after, 'max_attempts', job.max_attempts,
             'args', job.args, 'attempt', 0, 'crashes', 0, unpack(rest))
  line_up(job.id, job.queue, job.priority, job.task, job.run_after, false, job.expires_at)
end

local function store(job, at)
  write(job)
  redis.call('HSET', job_key(job.id), 'token', 0, 'enqueued_at', at)
  redis.call('ZADD', P .. 'live', 0, job.id)
  if job.unique then redis.call('HSET', P .. 'unique', job.unique, job.id) end
end

-- Write *job* over the *holder* of its key, if that waits: as a new one, but for its id, token, and time of enqueueing.
local function replace(holder, job)
  local key = job_key(holder)
  local old = redis.call('HMGET', key, 'state', 'queue', 'priority', 'task')
  if old[1] ~= 'waiting' then return end
  leave_line(old[2], old[3], old[4], {holder})
  redis.call('HDEL', key, 'timeout', 'keep', 'extras', 'until_start', 'expires_at', 'attempts', 'progress', 'started_at',
             'last_attempted_at')
  job.id = holder
  write(job)
  forget_empty(old[2])
end

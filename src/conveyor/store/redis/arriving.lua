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
  local run_after = math.max(job.due, at + job.delay) + place
  job.run_after = digits(run_after)
  if job.expires then job.expires_at = digits(run_after + job.expires) end
  return job
end

-- *fields* are written with those that each waiting job has: names and values in turn.
local function write(job, fields)
  for _, name in ipairs({'timeout', 'keep', 'extras', 'unique', 'until_start', 'expires_at'}) do
    local value = job[name]
    if value then
      fields[#fields + 1] = name
      fields[#fields + 1] = value
    end
  end
  redis.call('HSET', job_key(job.id), 'state', 'waiting', 'task', job.task, 'queue', job.queue,
             'priority', job.priority, 'run_after', job.run_after, 'max_attempts', job.max_attempts,
             'args', job.args, 'attempt', '0', 'crashes', '0', unpack(fields))
  line_up(job.id, job.queue, job.priority, job.task, job.run_after, false, job.expires_at)
end

local function store(job, at)
  write(job, {'token', '0', 'enqueued_at', digits(at)})
  note('ZADD', P .. 'live', '0', job.id)
  if job.unique then redis.call('HSET', P .. 'unique', job.unique, job.id) end
end

-- Write *job* over the *holder* of its key, if that waits: as a new one, but for its id, token, and time of enqueueing.
local function replace(holder, job)
  write_noted() -- the holder may have come with this call
  local key = job_key(holder)
  local old = redis.call('HMGET', key, 'state', 'queue', 'priority', 'task')
  if old[1] ~= 'waiting' then return end
  leave_line(holder, old[2], old[3], old[4])
  redis.call('HDEL', key, 'timeout', 'keep', 'extras', 'until_start', 'expires_at', 'attempts', 'progress', 'started_at',
             'last_attempted_at')
  job.id = holder
  write(job, {})
  emptied[old[2]] = true
end

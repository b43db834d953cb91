-- Jobs on their way into the store: FIELDS arguments for each, as plans.py lists them.
local FIELDS = 15

-- The job whose arguments begin at *n*. Jobs of one call come due 1 us apart, which keeps their order.
local function arriving(n, at, place)
  local run_after = math.max(tonumber(ARGV[n + 4]), at + ARGV[n + 5]) + place
  local expires, unique = given(ARGV[n + 9]), given(ARGV[n + 12])
  return {n = n, id = ARGV[n], run_after = digits(run_after), expires_at = expires and digits(run_after + expires),
          unique = unique, on_conflict = unique and ARGV[n + 14]}
end

local function add(fields, name, value)
  if not value then return end
  fields[#fields + 1] = name
  fields[#fields + 1] = value
end

-- *fields* are written besides those that each waiting job has: names and values in turn.
local function write(job, fields)
  local n = job.n
  add(fields, 'timeout', given(ARGV[n + 7]))
  add(fields, 'expires_at', job.expires_at)
  add(fields, 'keep', given(ARGV[n + 10]))
  add(fields, 'extras', given(ARGV[n + 11]))
  add(fields, 'unique', job.unique)
  add(fields, 'until_start', given(ARGV[n + 13]))
  local task, queue, priority = ARGV[n + 1], ARGV[n + 2], ARGV[n + 3]
  redis.call('HSET', job_key(job.id), 'state', 'waiting', 'task', task, 'queue', queue, 'priority', priority,
             'run_after', job.run_after, 'max_attempts', ARGV[n + 6], 'args', ARGV[n + 8], unpack(fields))
  line_up(job.id, lane_of(queue, priority, task), job.run_after, false, job.expires_at)
end

local function store(job, now)
  write(job, {'enqueued_at', now})
  note('ZADD', LIVE, '0', job.id)
  if job.unique then redis.call('HSET', P .. 'unique', job.unique, job.id) end
end

-- Write *job* over the *holder* of its key, if that waits: as a new one, but for its id, token, and time of enqueueing.
local function replace(holder, job)
  write_noted() -- the holder may have come with this call
  local key = job_key(holder)
  local old = redis.call('HMGET', key, 'state', 'queue', 'priority', 'task')
  if old[1] ~= 'waiting' then return end
  leave_line(holder, lane_of(old[2], old[3], old[4]))
  redis.call('HDEL', key, 'timeout', 'keep', 'extras', 'until_start', 'expires_at', 'attempts', 'progress', 'started_at',
             'last_attempted_at', 'attempt', 'crashes')
  job.id = holder
  write(job, {})
  emptied[old[2]] = true
end

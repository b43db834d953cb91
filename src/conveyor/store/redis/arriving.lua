-- Jobs on their way into the store. Each is FIELDS arguments, the last of which says how many pairs follow, of a name and
-- a value: what few jobs have. plans.py lists them.
local FIELDS = 10
local RARE = {'keep', 'extras', 'unique', 'until_start', 'expires_at'}

-- The job whose arguments begin at *n*, and where those of the next one do. Jobs of one call come due 1 us apart, which
-- keeps their order.
local function arriving(n, at, place)
  local run_after = math.max(tonumber(ARGV[n + 4]), at + ARGV[n + 5]) + place
  local job = {n = n, id = ARGV[n], run_after = digits(run_after)}
  if ARGV[n + 9] == '0' then return job, n + FIELDS end
  local next_ = n + FIELDS + 2 * ARGV[n + 9]
  for pair = n + FIELDS, next_ - 1, 2 do job[ARGV[pair]] = ARGV[pair + 1] end
  if job.expires then job.expires_at = digits(run_after + job.expires) end
  job.more = true
  return job, next_
end

-- *fields* are written besides those that each waiting job has: names and values in turn. Whoever finds no `more` need
-- not look for what few have.
local function write(job, fields)
  local n = job.n
  put(fields, 'args', ARGV[n + 8])
  local last = #fields
  if ARGV[n + 7] ~= '' then
    fields[last + 1], fields[last + 2] = 'timeout', ARGV[n + 7]
    last = last + 2
  end
  if job.more then
    fields[last + 1], fields[last + 2] = 'more', '1'
    for _, name in ipairs(RARE) do
      if job[name] then
        fields[#fields + 1] = name
        fields[#fields + 1] = job[name]
      end
    end
  end
  local task, queue, priority = ARGV[n + 1], ARGV[n + 2], ARGV[n + 3]
  redis.call('HSET', job_key(job.id), 'state', 'waiting', 'task', task, 'queue', queue, 'priority', priority,
             'run_after', job.run_after, 'max_attempts', ARGV[n + 6], unpack(fields))
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
             'last_attempted_at', 'attempt', 'crashes', unpack(later('args')))
  job.id = holder
  write(job, {})
  emptied[old[2]] = true
end

-- uses keys, bell, jobs
-- Jobs as they wait, those of the numbers ARGV[1] to ARGV[2] of ARGV[3], of the task ARGV[4]: one half scheduled for
-- tomorrow in the queue ARGV[5], the other due in ARGV[6]. Ids as the library makes them: their order is that of time.
-- Only those whose ids say that they lie in the shard ARGV[7], of ARGV[8].
local at, task = clock(), ARGV[4]

local function fill(n)
  local enqueued, later = at - ARGV[3] + n, n % 2 == 0
  local id = string.format('%012x7%03x8%015x', math.floor(enqueued / 1000), n % 4096, n)
  local queue, run_after = ARGV[later and 5 or 6], digits(later and at + 86400000000 + n or enqueued)
  redis.call('HSET', job_key(id), 'state', 'waiting', 'task', task, 'queue', queue, 'priority', '0',
             'run_after', run_after, 'max_attempts', '5', 'args', '[[1],{}]', 'enqueued_at', digits(enqueued),
             'timeout', '3600000000')
  line_up(id, lane_of(queue, '0', task), run_after, false, false)
  note('ZADD', LIVE, '0', id)
end

for n = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  if n % 256 % ARGV[8] == tonumber(ARGV[7]) then fill(n) end
end
write_noted()

-- uses keys, bell, jobs, ends
-- Jobs as they ended, evenly over the last ten days: those of the numbers ARGV[1] to ARGV[2] of ARGV[3], of the task
-- ARGV[4] in the queue ARGV[5]. Each hundredth has failed, with one of ten errors. Only those whose ids say that they lie
-- in the shard ARGV[7], of ARGV[8].
local now = clock()

local function fill(n)
  local at = math.floor(now - 864000000000 * (1 - n / ARGV[3])) - 1000000
  local id = string.format('%012x7%03x8%015x', math.floor(at / 1000), n % 4096, n)
  local text, failed = digits(at), n % 100 == 0
  put_away(id, failed and 'failed' or 'succeeded', at + 1000, {queue = ARGV[5]}, {
    'task', ARGV[4], 'queue', ARGV[5], 'priority', '0', 'run_after', text, 'max_attempts', '5', 'args', '[[1],{}]',
    'enqueued_at', text, 'timeout', '3600000000', 'started_at', text, 'attempt', '1', 'token', text,
    'run_time', '1000',
  }, failed and 'bench' .. n / 100 % 10)
end

for n = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  if n % 256 % ARGV[8] == tonumber(ARGV[7]) then fill(n) end
end
write_noted()

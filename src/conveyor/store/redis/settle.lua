-- uses keys, jobs
-- What became of attempts: 13 arguments for each. The answer has a letter for each: w written, r refused (no longer
-- the runner's, and another wrote its end), s stopped: somebody wants it cancelled, so it ended instead of waiting.
local at, answer, waits = clock(), {}, false

local function has(flags, bit_)
  return bit.band(flags, bit_) ~= 0 and 1 or 0
end

-- The fields of counters and record, as both ends of an attempt write them. Flags: 1 a crash, 2 a new token, 4 attempt
-- back.
local function counted(job, flags, record)
  local fields = {}
  if flags ~= 0 then
    fields = {'token', digits(job.token + has(flags, 2)), 'attempt', job.attempt - has(flags, 4),
              'crashes', job.crashes + has(flags, 1)}
  end
  if record then
    fields[#fields + 1] = 'attempts'
    fields[#fields + 1] = record
  end
  return fields
end

local function finish(id, job, state, flags, given_)
  local fields = counted(job, flags, given_.record)
  local n = #fields
  fields[n + 1], fields[n + 2] = 'run_time', given_.run_time
  if given_.result then
    fields[n + 3], fields[n + 4] = 'result', given_.result
    n = n + 2
  end
  if state == 'cancelled' then fields[n + 3], fields[n + 4] = 'cancelled', given_.reason or job.cancelled or '' end
  put_away(id, state, at, job, fields, given_.fingerprint)
end

local function again(id, key, job, flags, given_)
  local fields = counted(job, flags, given_.record)
  local run_after = digits(math.max(given_.due, at + given_.delay))
  redis.call('HSET', key, 'state', 'waiting', 'run_after', run_after, unpack(fields))
  redis.call('HDEL', key, 'runner')
  line_up(id, job.queue, job.priority, job.task, run_after, given_.record or job.failed, job.expires_at)
  waits = true
end

-- What was written before, by a settle whose answer was lost, or by somebody else.
local function before(state, token, mine, given_)
  local ended = state and state ~= 'waiting' and state ~= 'running'
  if given_.own and given_.target == 'waiting' and state == 'cancelled' and token == mine + has(given_.stop, 2) then
    return 's'
  end
  if (ended or state == 'waiting') and token == mine + has(given_.flags, 2) then return 'w' end
  return 'r'
end

local function settle(n)
  local id, token, runner = ARGV[n], tonumber(ARGV[n + 1]), ARGV[n + 2]
  local given_ = {
    target = ARGV[n + 3], flags = tonumber(ARGV[n + 4]), due = tonumber(ARGV[n + 5]), delay = tonumber(ARGV[n + 6]),
    result = given(ARGV[n + 7]), record = given(ARGV[n + 8]), reason = given(ARGV[n + 9]),
    fingerprint = given(ARGV[n + 10]), run_time = ARGV[n + 11], own = string.sub(ARGV[n + 12], 1, 1) == 'o',
    stop = tonumber(string.sub(ARGV[n + 12], 2)),
  }
  local key = job_key(id)
  local got = redis.call('HMGET', key, 'state', 'token', 'runner', 'queue', 'priority', 'task', 'attempt', 'crashes',
                         'keep', 'unique', 'until_start', 'cancelled', 'expires_at')
  local state, bears = got[1], tonumber(got[2] or 0)
  if state ~= 'running' or bears ~= token or got[3] ~= runner then return before(state, bears, token, given_) end
  local job = {token = bears, queue = got[4], priority = got[5], task = got[6], attempt = got[7], crashes = got[8],
               keep = got[9], unique = got[10], until_start = got[11], cancelled = got[12], expires_at = got[13]}
  let_go(id, job.queue, runner)
  if given_.target ~= 'waiting' then
    finish(id, job, given_.target, given_.flags, given_)
    return 'w'
  end
  if job.cancelled then
    finish(id, job, 'cancelled', given_.stop, given_)
    return 's'
  end
  job.failed = redis.call('HEXISTS', key, 'attempts') == 1
  again(id, key, job, given_.flags, given_)
  return 'w'
end

for n = 1, #ARGV, 13 do answer[#answer + 1] = settle(n) end
write_noted()
if waits then ring('!') end
return table.concat(answer)

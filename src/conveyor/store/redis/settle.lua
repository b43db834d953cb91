-- uses keys, bell, parts, jobs, ends
-- What became of attempts. ARGV: a runner, how many jobs of its have succeeded, without a word more, and PLAIN arguments
-- for each of these; then OUTCOME arguments for each of the others. The answer has a letter for each: w written,
-- r refused (no longer the runner's, and another wrote its end), m missing: no such job is here, s stopped: somebody
-- wants it cancelled, so it ended instead of waiting.
despite_want()
touch()
local PLAIN, OUTCOME = 4, 13
local at, answer = clock(), {}
local now = digits(at)
local first = 3 + PLAIN * ARGV[2] -- of the others

local function has(flags, bit_)
  return bit.band(flags, bit_) ~= 0 and 1 or 0
end

-- By runner and id, the tokens under which jobs run: what is held bears its token there as well as in its own fields.
local function tokens()
  local asked, found = {}, {}
  for n = 3, first - 1, PLAIN do
    asked[ARGV[1]] = asked[ARGV[1]] or {}
    table.insert(asked[ARGV[1]], ARGV[n])
  end
  for n = first, #ARGV, OUTCOME do
    local runner = ARGV[n + 2]
    asked[runner] = asked[runner] or {}
    table.insert(asked[runner], ARGV[n])
  end
  for runner, ids in pairs(asked) do
    local of = {}
    for start = 1, #ids, MANY do
      local last = math.min(start + MANY - 1, #ids)
      local held = redis.call('HMGET', P .. 'held:' .. runner, unpack(ids, start, last))
      for place = 1, #held do of[ids[start + place - 1]] = held[place] end
    end
    found[runner] = of
  end
  return found
end

local running = tokens()

-- Whether the job runs under this token, and its queue if it is plain; it does not for whoever asks next.
local function stops(runner, id, token)
  local of = running[runner]
  local its, queue = held_as(of[id])
  if its ~= token then return false end
  of[id] = nil
  return true, queue
end

-- The fields of counters and record, as both ends of an attempt write them. Flags: 1 a crash, 2 a new token, 4 attempt
-- back.
local function counted(token, job, flags, record)
  local fields = {}
  if flags ~= 0 then
    fields = {'token', digits(token + has(flags, 2)), 'attempt', digits(job.attempt - has(flags, 4)),
              'crashes', digits((job.crashes or 0) + has(flags, 1))}
  end
  if record then
    fields[#fields + 1] = 'attempts'
    fields[#fields + 1] = record
  end
  return fields
end

local function finish(id, job, state, flags, given_)
  local fields = counted(given_.token, job, flags, given_.record)
  local n = #fields
  fields[n + 1], fields[n + 2] = 'run_time', given_.run_time
  if state == 'cancelled' then fields[n + 3], fields[n + 4] = 'cancelled', given_.reason or job.cancelled or '' end
  if given_.result then put(fields, 'result', given_.result) end
  put_away(id, state, at, job, fields, given_.fingerprint)
end

local function again(id, job, flags, given_)
  local fields = counted(given_.token, job, flags, given_.record)
  local run_after = digits(math.max(given_.due, at + given_.delay))
  redis.call('HSET', job_key(id), 'state', 'waiting', 'run_after', run_after, unpack(fields))
  redis.call('HDEL', job_key(id), 'runner')
  line_up(id, lane_of(job.queue, job.priority, job.task), run_after, given_.record or job.failed, job.expires_at)
end

-- What was written before, by a settle whose answer was lost, or by somebody else.
local function before(id, given_)
  local got = redis.call('HMGET', job_key(id), 'state', 'token')
  local state, token, mine = got[1], tonumber(got[2] or 0), tonumber(given_.token)
  if not state then return 'm' end
  local ended = state ~= 'waiting' and state ~= 'running'
  if given_.own and given_.target == 'waiting' and state == 'cancelled' and token == mine + has(given_.stop, 2) then
    return 's'
  end
  if (ended or state == 'waiting') and token == mine + has(given_.flags, 2) then return 'w' end
  return 'r'
end

-- Somebody has deleted the job while it ran.
local function gone(runner, id)
  note('HDEL', P .. 'held:' .. runner, id)
  note('ZREM', LIVE, id)
  return 'm'
end

-- A plain job has succeeded, of which nothing need be read.
local function end_plain(id, queue, run_time, result)
  local until_ = leaves(at, STAY)
  local fields = {'state', 'succeeded', 'finished_at', now, 'delete_after', until_, 'run_time', run_time}
  if result then put(fields, 'result', result) end
  local key = job_key(id)
  if redis.call('HSET', key, unpack(fields)) == #fields / 2 then -- it had no state: somebody has deleted it
    redis.call('DEL', key)
    emptied[queue] = true
    return gone(ARGV[1], id)
  end
  pass(id, queue, 'succeeded', until_)
  return 'w'
end

local function succeed(n)
  local id, token, run_time, result = ARGV[n], ARGV[n + 1], ARGV[n + 2], given(ARGV[n + 3])
  local mine, queue = stops(ARGV[1], id, token)
  if not mine then return before(id, {target = 'succeeded', flags = 0, token = token}) end
  local asked = not queue or let_go(id, queue, ARGV[1])
  if not asked then return end_plain(id, queue, run_time, result) end
  local key = job_key(id)
  local got = redis.call('HMGET', key, 'queue', 'cancelled', 'more')
  if not got[1] then return gone(ARGV[1], id) end
  local rare = got[3] and redis.call('HMGET', key, 'keep', 'unique', 'until_start', 'expires_at') or NOTHING
  if not queue then let_go(id, got[1], ARGV[1]) end
  finish(id, {key = key, queue = got[1], cancelled = got[2], keep = rare[1], unique = rare[2], until_start = rare[3],
              expires_at = rare[4]}, 'succeeded', 0, {token = token, run_time = run_time, result = result})
  return 'w'
end

local function settle(n)
  local id, token, runner = ARGV[n], ARGV[n + 1], ARGV[n + 2]
  local given_ = {
    token = token, target = ARGV[n + 3], flags = tonumber(ARGV[n + 4]), due = tonumber(ARGV[n + 5]),
    delay = tonumber(ARGV[n + 6]), result = given(ARGV[n + 7]), record = given(ARGV[n + 8]),
    reason = given(ARGV[n + 9]), fingerprint = given(ARGV[n + 10]), run_time = ARGV[n + 11],
    own = string.sub(ARGV[n + 12], 1, 1) == 'o', stop = tonumber(string.sub(ARGV[n + 12], 2)),
  }
  if not stops(runner, id, token) then return before(id, given_) end
  local got = redis.call('HMGET', job_key(id), 'queue', 'priority', 'task', 'attempt', 'crashes', 'keep', 'unique',
                         'until_start', 'cancelled', 'expires_at')
  local job = {queue = got[1], priority = got[2], task = got[3], attempt = got[4], crashes = got[5], keep = got[6],
               unique = got[7], until_start = got[8], cancelled = got[9], expires_at = got[10]}
  if not job.queue then return gone(runner, id) end
  let_go(id, job.queue, runner)
  if given_.target ~= 'waiting' then
    finish(id, job, given_.target, given_.flags, given_)
    return 'w'
  end
  if job.cancelled then
    finish(id, job, 'cancelled', given_.stop, given_)
    return 's'
  end
  job.failed = redis.call('HEXISTS', job_key(id), 'attempts') == 1
  again(id, job, given_.flags, given_)
  return 'w'
end

for n = 3, first - 1, PLAIN do answer[#answer + 1] = succeed(n) end
for n = first, #ARGV, OUTCOME do answer[#answer + 1] = settle(n) end
write_noted()
return table.concat(answer)

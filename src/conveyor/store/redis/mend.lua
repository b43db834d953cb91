-- uses keys, bell, jobs, ends, sound
-- Looks at a part of the indexes, and has them say what the jobs say. ARGV: up to how many entries, then 'begin' for the
-- first call of a round, of which there is one in PERIOD, whoever makes it, 'on' for the others; or 'all', to look at all
-- jobs, also those that are in no index, once in LONG, and whenever something was mended. The answer: MORE, OVER when that
-- was the last, or EARLY; then for each job that was mended its id, and a letter: see sound.lua, or s for an entry that was
-- too much. Where this stands is kept: the index that is being read, and a set of those to come.
despite_want()
local PERIOD, LONG = 50000000, 86400000000 -- microseconds
local AGAIN = 60000000 -- a runner that nobody knows has so long to notice that
local MORE, OVER, EARLY = 0, 1, 2
local SCANS = {live = 'ZSCAN', expiring = 'ZSCAN', lane = 'ZSCAN', running = 'ZSCAN', retry = 'ZSCAN', lanes = 'ZSCAN',
               runners = 'ZSCAN', unique = 'HSCAN', held = 'HSCAN', queues = 'SSCAN', asked = 'SSCAN'}
local NOBODY = '{"host":"","pid":0,"queues":{},"tasks":[],"version":""}'
local room, what, at = tonumber(ARGV[1]), ARGV[2], clock()
local place, ahead = P .. 'mend', P .. 'mend:ahead'
local known, told, rings, answer = {}, {}, {}, {}

local function list(job)
  note('ZADD', LIVE, '0', job.id)
  if job.unique then redis.call('HSETNX', P .. 'unique', job.unique, job.id) end
end

local function line_up_again(job)
  line_up(job.id, job.lane, digits(job.run_after), job.failed, job.expires_at)
  list(job)
end

-- It is its runner's, as a claim says that has come to its end: that may be at work on it, and nobody else is to start it.
-- If it lives and is not, it gives the job back when it is rung; if it is dead, rescue takes it.
local function give_back(job)
  note('ZADD', job.lane.running, digits(math.max(job.started_at or 0, job.last_attempted_at or 0)), job.id)
  note('SADD', P .. 'queues', job.queue)
  note('HSET', P .. 'held:' .. job.runner, job.id, job.token)
  rings.h = true
  if job.cancelled then
    note('SADD', P .. 'asked:' .. job.runner, job.id)
    rings.c = true
  end
  list(job)
  if redis.call('ZADD', P .. 'runners', 'NX', digits(at + AGAIN), job.runner) == 1 then
    redis.call('HSETNX', P .. 'runner:' .. job.runner, 'started_at', digits(at))
    redis.call('HSETNX', P .. 'runner:' .. job.runner, 'info', NOBODY)
  end
end

-- Nobody was told of that claim: the attempt was not begun, and is not spent.
local function release(job)
  local key = job_key(job.id)
  local token, attempt = digits((job.token or 0) + 1), digits(math.max((job.attempt or 1) - 1, 0))
  redis.call('HSET', key, 'state', 'waiting', 'token', token, 'attempt', attempt)
  redis.call('HDEL', key, 'runner')
  if job.cancelled then
    job.state, job.ended = 'cancelled', true
    put_away(job.id, 'cancelled', at, job, {'cancelled', job.cancelled})
    return
  end
  job.state = 'waiting'
  waits_well(job) -- which finds out whether it has failed
  line_up_again(job)
end

local function put_away_again(job)
  note('ZREM', LIVE, job.id)
  note('ZADD', P .. 'past:' .. job.state, '0', job.id)
  if job.delete_after then note('ZADD', GONE, job.delete_after, job.id) end
  if job.fingerprint then
    note('ZADD', P .. 'error:' .. job.fingerprint, job.finished_at or digits(at), job.id)
    note('SADD', P .. 'errors', job.fingerprint)
  end
  if job.unique then give_key_up(job.id, job.unique) end
end

local cures = {l = line_up_again, h = give_back, r = release, e = put_away_again}

local function tell(id, letter)
  if told[id] then return end
  told[id] = true
  answer[#answer + 1] = id
  answer[#answer + 1] = letter
end

-- The job of that id, mended; nothing where there is none.
local function mended(id)
  if known[id] ~= nil then return known[id] end
  local job = own(id)
  if job and half(job) then job = false end
  local letter = job and fault(job)
  if letter then
    cures[letter](job)
    tell(id, letter)
  end
  if job and job.state ~= 'waiting' and score(job.lane.key, id) then -- also where nobody looks into that lane just now
    leave_line(id, job.lane)
    tell(id, 's')
  end
  known[id] = job
  return job
end

-- Whether an entry of an index is one of the job's. *of* is what the index is of.
local belongs = {
  live = function(job) return not job.ended end,
  expiring = function(job) return job.state == 'waiting' and job.expires_at end,
  lane = function(job, of) return job.state == 'waiting' and P .. 'lane:' .. of == job.lane.key end,
  retry = function(job, of) return job.state == 'waiting' and job.queue == of and job.failed end,
  running = function(job, of) return job.state == 'running' and job.queue == of end,
  held = function(job, of, value) return job.state == 'running' and job.runner == of and job.token == held_as(value) end,
  asked = function(job, of) return job.state == 'running' and job.runner == of and job.cancelled end,
  unique = function(job, _, _, key) return not job.ended and job.unique == key end,
}

-- Indexes of indexes: what is to be read later.
local leads = {
  queues = function(queue)
    redis.call('SADD', ahead, 'running:' .. queue, 'retry:' .. queue, 'lanes:' .. queue)
    emptied[queue] = true
  end,
  runners = function(runner) redis.call('SADD', ahead, 'held:' .. runner, 'asked:' .. runner) end,
  lanes = function(name, queue) redis.call('SADD', ahead, 'lane:' .. #queue .. ':' .. queue .. ':' .. name) end,
}

-- A lane that may be empty; its queue is to forget it then, and may itself have no more.
local function may_go(of)
  local length, rest = string.match(of, '^(%d+):(.*)$')
  local queue, name = string.sub(rest, 1, length), string.sub(rest, length + 2)
  left[P .. 'lane:' .. of] = {lanes = lanes_key(queue), name = name}
  emptied[queue] = true
end

local function remove(kind, index, member, of)
  note(kind == 'asked' and 'SREM' or SCANS[kind] == 'HSCAN' and 'HDEL' or 'ZREM', P .. index, member)
  if kind == 'running' then emptied[of] = true end
  if kind == 'lane' then may_go(of) end
end

-- How many entries less there will be.
local function look(kind, index, of, member, value)
  if leads[kind] then
    leads[kind](member, of)
    return 0
  end
  local id = kind == 'unique' and value or member
  local job = mended(id)
  if job and belongs[kind](job, of, value, member) then return 0 end
  remove(kind, index, member, of)
  tell(id, 's')
  return 1
end

-- What is read of an index from *cursor* on: members, each with a value where there are any; how many are to be passed
-- over, up to which one they are to be looked at; and where to go on. A small index is given whole, up to 512 entries,
-- whatever is asked for: '+' says that there are more, and as a cursor with a number how many were looked at before.
local function read_from(index, kind, cursor)
  local before = tonumber(string.match(cursor, '^%+(%d+)$'))
  local read = redis.call(SCANS[kind], P .. index, before and '0' or cursor, 'COUNT', room)
  local step = SCANS[kind] == 'SSCAN' and 1 or 2
  local first, last, next_ = 0, #read[2] / step, read[1]
  if next_ == '0' and (before or cursor == '0') then
    first = math.min(before or 0, last)
    if last > first + room then
      last = first + room
      next_ = '+'
    end
  end
  return read[2], step, first, last, next_
end

local function walk(index, cursor)
  while room > 0 do
    index = index or redis.call('SPOP', ahead)
    if not index then return false end
    local kind, of = string.match(index, '^(%a+):?(.*)$')
    local members, step, first, last, next_ = read_from(index, kind, cursor or '0')
    local less = 0
    for n = first * step + 1, last * step, step do less = less + look(kind, index, of, members[n], members[n + 1]) end
    if kind == 'lane' and not members[1] then may_go(of) end
    room = room - (last - first) - 1
    cursor = next_ == '+' and '+' .. last - less or next_
    if cursor == '0' then index, cursor = nil, nil end
  end
  return index or '', cursor
end

local function reads_all(cursor)
  local read = redis.call('SCAN', cursor, 'MATCH', P .. 'job:*', 'COUNT', room)
  for _, key in ipairs(read[2]) do mended(string.sub(key, #P + 5)) end
  return read[1]
end

-- Whether it is not time yet for what was last done at *time*; a clock that was set back keeps nobody waiting.
local function early(time, period)
  local since = at - (time or -period)
  return since >= 0 and since < period
end

local function write()
  write_noted()
  for why in pairs(rings) do ring(why) end
end

local meta = redis.call('HMGET', P .. 'meta', 'closed', 'filling')
local stands = redis.call('HMGET', place, 'begun', 'index', 'cursor', 'all', 'all_begun', 'again')
local all_early = not stands[4] and not stands[6] and early(stands[5], LONG)
if meta[1] or meta[2] then return {EARLY} end

if what == 'all' then
  if all_early then return {EARLY} end
  if not stands[4] then
    redis.call('HSET', place, 'all_begun', digits(at))
    redis.call('HDEL', place, 'again')
  end
  local cursor = reads_all(stands[4] or '0')
  if cursor == '0' then redis.call('HDEL', place, 'all') else redis.call('HSET', place, 'all', cursor) end
  write()
  return {cursor == '0' and OVER or MORE, unpack(answer)}
end

if what == 'begin' then
  if early(stands[1], PERIOD) then return {EARLY} end
  redis.call('HSET', place, 'begun', digits(at))
  if redis.call('EXISTS', LIVE, EXPIRING, P .. 'queues', P .. 'unique') == 0 then return {all_early and EARLY or OVER} end
  if not stands[2] then redis.call('SADD', ahead, 'live', 'expiring', 'unique', 'queues', 'runners') end
end
local index, cursor = walk(stands[2] ~= '' and stands[2] or nil, stands[3] or nil)
if index then
  redis.call('HSET', place, 'index', index, 'cursor', cursor or '0')
else
  redis.call('HDEL', place, 'index', 'cursor')
end
if answer[1] then redis.call('HSET', place, 'again', '1') end
write()
return {index and MORE or OVER, unpack(answer)}

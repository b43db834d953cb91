-- Which jobs are meant, and where they lie: FILTER arguments from *n* on, then how many indexes, and these.
local FILTER = 8
local BUDGET = 1000 -- jobs that one call looks at

local RECORD = {'task', 'queue', 'priority', 'state', 'attempt', 'max_attempts', 'crashes', 'token', 'timeout',
                'enqueued_at', 'run_after', 'started_at', 'last_attempted_at', 'finished_at', 'run_time', 'runner',
                'args', 'result', 'attempts', 'extras', 'expires_at', 'delete_after', 'progress', 'cancelled'}
local COUNTERS = {5, 7, 8} -- places in it of what is not there while it is 0

local function record(id, at)
  local key = job_key(id)
  local answer = redis.call('HMGET', key, unpack(RECORD))
  answer[17], answer[18] = whole(key, 'args', answer[17]), whole(key, 'result', answer[18])
  for _, place in ipairs(COUNTERS) do answer[place] = answer[place] or '0' end
  answer[13] = answer[13] or answer[12] -- the first attempt was the last
  table.insert(answer, 1, id)
  answer[#answer + 1] = digits(at)
  return answer
end

local function filter(n)
  return {
    states = given(ARGV[n]), queue = given(ARGV[n + 1]), task = given(ARGV[n + 2]), tag = given(ARGV[n + 3]),
    fingerprint = given(ARGV[n + 4]), enqueued_after = tonumber(given(ARGV[n + 5]) or nil),
    enqueued_before = tonumber(given(ARGV[n + 6]) or nil), finished_before = tonumber(given(ARGV[n + 7]) or nil),
  }
end

-- The state that a person sees.
local function shown(id, state, run_after, at)
  if state ~= 'waiting' then return state end
  if tonumber(run_after) <= at then return 'ready' end
  return redis.call('HEXISTS', job_key(id), 'attempts') == 1 and 'retryable' or 'scheduled'
end

-- The shown state of a job that *where* means, and its queue; nothing for any other.
local function meant(id, where, at)
  local job = redis.call('HMGET', job_key(id), 'state', 'run_after', 'queue', 'task', 'extras', 'fingerprint',
                         'enqueued_at', 'finished_at')
  if not job[1] then return end
  if where.queue and job[3] ~= where.queue then return end
  if where.task and job[4] ~= where.task then return end
  if where.tag and not (job[5] and string.find(job[5], where.tag, 1, true)) then return end
  if where.fingerprint and job[6] ~= where.fingerprint then return end
  if where.enqueued_after and tonumber(job[7]) < where.enqueued_after then return end
  if where.enqueued_before and tonumber(job[7]) >= where.enqueued_before then return end
  if where.finished_before and not (job[8] and tonumber(job[8]) < where.finished_before) then return end
  local state = shown(id, job[1], job[2], at)
  if where.states and not string.find(where.states, ',' .. state .. ',', 1, true) then return end
  return state, job[3], job[1]
end

-- Up to *count* ids of several indexes, from behind *after*, in the order of ids or against it.
local function following(indexes, after, newest, count)
  local found = {}
  for _, name in ipairs(indexes) do
    local ids
    if newest then
      ids = redis.call('ZREVRANGEBYLEX', P .. name, after == '' and '+' or '(' .. after, '-', 'LIMIT', 0, count)
    else
      ids = redis.call('ZRANGEBYLEX', P .. name, after == '' and '-' or '(' .. after, '+', 'LIMIT', 0, count)
    end
    for _, id in ipairs(ids) do found[#found + 1] = id end
  end
  if #indexes > 1 then table.sort(found, function(a, b) if newest then return a > b end return a < b end) end
  for n = #found, count + 1, -1 do found[n] = nil end
  return found
end

-- Look at jobs from behind *after* until *visit* has had enough; the last id, and whether that was all there is.
-- From *n* on: how many indexes, and their names; for 0 the ids themselves follow.
local function look(n, after, newest, visit)
  local ids, indexes = {}, {}
  local count = tonumber(ARGV[n])
  for place = n + 1, #ARGV do table.insert(count > 0 and indexes or ids, ARGV[place]) end
  if count > 0 then ids = following(indexes, after, newest, BUDGET) end
  local last = after
  for _, id in ipairs(ids) do
    last = id
    if visit(id) then return last, 0 end
  end
  return last, (count == 0 or #ids < BUDGET) and 1 or 0
end

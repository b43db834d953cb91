-- uses keys, bell, closed, parts, jobs, arriving
-- All jobs are stored, or none. ARGV: 'first' or 'again', an outbox or nothing, the number of its batch, then the jobs.
-- The answer: what, and ids in pairs.
-- Again: a job that is known is passed over, wherever it stands by now. A call twice sent is no harm then.
-- Of an outbox: the last numbers are remembered, for jobs may have ended, and be gone, when they are sent once more. One
-- that is older than all of these may be either: a database that was set back, with a slow clock, gives such.
local again, outbox, batch, at = ARGV[1] == 'again', ARGV[2], tonumber(ARGV[3]), clock()
local now = digits(at)
if again then touch() end

local NUMBERS = 5000
local numbers = P .. 'outbox:' .. outbox
if outbox ~= '' then
  if redis.call('ZSCORE', numbers, ARGV[3]) then return {'stored'} end
  local oldest = redis.call('ZRANGE', numbers, 0, 0, 'WITHSCORES')[2]
  if oldest and batch < tonumber(oldest) and redis.call('ZCARD', numbers) >= NUMBERS then return {'behind'} end
end

local arrived, keys, n = {}, {}, 4
while n <= #ARGV do
  local place = #arrived + 1
  arrived[place], n = arriving(n, at, place - 1)
  keys[place] = job_key(arrived[place].id)
end

-- Whether any of the jobs is known; mostly none is, and that is one question for many.
local function any_known()
  for first = 1, #keys, MANY do
    if redis.call('EXISTS', unpack(keys, first, math.min(first + MANY - 1, #keys))) > 0 then return true end
  end
  return false
end

local jobs, taken, doubtful = {}, {}, any_known()
for place, job in ipairs(arrived) do
  local known = doubtful and redis.call('EXISTS', keys[place]) == 1
  if known and not again then return {'known', job.id} end
  if not known then
    local key = job.unique
    local holder = key and (redis.call('HGET', P .. 'unique', key) or taken[key])
    if holder and job.on_conflict == 'raise' then return {'held', job.id, holder} end
    local filling = holder and job.on_conflict == 'replace' and redis.call('HGET', P .. 'meta', 'filling')
    if filling then return redis.error_reply('CLOSED ' .. filling) end
    if key and not holder then taken[key] = job.id end
    jobs[#jobs + 1] = job
  end
end
-- What is written over has its turn behind all that is new, as in the other stores, which do that afterwards.
local answer = {'stored'}
for _, job in ipairs(jobs) do
  local holder = job.unique and redis.call('HGET', P .. 'unique', job.unique)
  if holder then
    answer[#answer + 1] = job.id
    answer[#answer + 1] = holder
    if job.on_conflict == 'replace' then replace(holder, (arriving(job.n, at, #arrived))) end
  else
    store(job, now)
  end
end
write_noted()
if outbox ~= '' then
  redis.call('ZADD', numbers, ARGV[3], ARGV[3])
  redis.call('ZREMRANGEBYRANK', numbers, 0, -NUMBERS - 1)
end
return answer

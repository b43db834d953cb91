-- uses keys, bell, closed, guarded, parts, jobs, arriving, ticks
-- Each cursor that stands where its move says is moved, and the jobs are stored with that. ARGV, for each: name, version,
-- due, next, tick, how many jobs, and these. The answer: names and how many jobs were stored, in turn.
touch()
local at, answer, n = clock(), {}, 1

local function skips(schedule)
  if schedule.overlap ~= 'skip' or not schedule.job then return false end
  local state = redis.call('HGET', job_key(schedule.job), 'state')
  return state == 'waiting' or state == 'running'
end

while n <= #ARGV do
  local name, version, due, next_at, tick = ARGV[n], ARGV[n + 1], ARGV[n + 2], given(ARGV[n + 3]), ARGV[n + 4]
  local jobs, count = {}, tonumber(ARGV[n + 5])
  n = n + 6
  for place = 1, count do jobs[place], n = arriving(n, at, place - 1) end
  local key = P .. 'schedule:' .. name
  local row = redis.call('HMGET', key, 'version', 'next_at', 'paused_at', 'overlap', 'job', 'fired', 'times')
  if row[1] == version and row[2] == due and not row[3] then
    local made, last = 0, row[5]
    if not skips({overlap = row[4], job = row[5]}) then
      for _, job in ipairs(jobs) do
        if not (job.unique and redis.call('HEXISTS', P .. 'unique', job.unique) == 1) then
          store(job, digits(at))
          made, last = made + 1, job.id
        end
      end
    end
    local fired = row[6] + made
    if row[7] and fired >= tonumber(row[7]) then next_at = false end
    redis.call('HSET', key, 'tick', tick, 'fired', fired, 'version', version + 1)
    set_or_drop(key, 'next_at', next_at)
    set_or_drop(key, 'job', last)
    note_tick(name, next_at, false)
    answer[#answer + 1] = name
    answer[#answer + 1] = made
  end
end
write_noted()
return answer

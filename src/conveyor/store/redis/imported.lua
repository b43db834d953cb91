-- uses keys, bell, parts, jobs, entire
-- Jobs of another store's, as they were there. ARGV: the store's id, or nothing; then for each job its id and ENTIRE. The
-- answer: the ids of those whose unique key is held, and who holds it, in turn; null where this one is not being filled
-- from that store. A job that is known is passed over.
local RARE = {'keep', 'extras', 'unique', 'until_start', 'expires_at', 'attempts', 'cancelled', 'crashes'}
local answer = {}
if ARGV[1] ~= '' then
  local mark = redis.call('HGET', P .. 'meta', 'move')
  mark = mark and cjson.decode(mark)
  if not mark or mark.role ~= 'target' or mark.other ~= ARGV[1] then return false end
end
touch()

-- What would be the same without it is not there.
local function leave_out(job)
  for _, name in ipairs({'token', 'crashes'}) do
    if job[name] == '0' then job[name] = false end
  end
  if job.attempt == '0' and not job.started_at then job.attempt = false end
  if job.last_attempted_at == job.started_at then job.last_attempted_at = false end
end

local function import(id, n)
  local key, job, fields = job_key(id), {}, {}
  for place, name in ipairs(ENTIRE) do job[name] = given(ARGV[n + place]) end
  leave_out(job)
  for _, name in ipairs(ENTIRE) do
    if job[name] and (name == 'args' or name == 'result') then
      put(fields, name, job[name])
    elseif job[name] then
      fields[#fields + 1] = name
      fields[#fields + 1] = job[name]
    end
  end
  for _, name in ipairs(RARE) do job.more = job.more or job[name] end
  local ended = job.state ~= 'waiting' and job.state ~= 'running'
  if not ended and job.unique and redis.call('HSETNX', P .. 'unique', job.unique, id) == 0 then
    return redis.call('HGET', P .. 'unique', job.unique)
  end
  redis.call('HSET', key, unpack(fields))
  if job.more then redis.call('HSET', key, 'more', '1') end
  if not ended then
    note('ZADD', LIVE, '0', id)
    line_up(id, lane_of(job.queue, job.priority, job.task), job.run_after, job.attempts, job.expires_at)
    return
  end
  note('ZADD', P .. 'past:' .. job.state, '0', id)
  if job.delete_after then note('ZADD', GONE, job.delete_after, id) end
  if job.fingerprint then
    note('ZADD', P .. 'error:' .. job.fingerprint, job.finished_at, id)
    note('SADD', P .. 'errors', job.fingerprint)
  end
end

for n = 2, #ARGV, #ENTIRE + 1 do
  local id = ARGV[n]
  local holder = redis.call('EXISTS', job_key(id)) == 0 and import(id, n)
  if holder then
    answer[#answer + 1] = id
    answer[#answer + 1] = holder
  end
end
write_noted()
return answer

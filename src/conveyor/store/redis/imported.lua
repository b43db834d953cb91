-- uses keys, jobs, whole
-- Jobs of another store's, as they were there. ARGV: the store's id, or nothing; then for each job its id and WHOLE. The
-- answer: the ids of those whose unique key is held, and who holds it, in turn; null where this one is not being filled
-- from that store. A job that is known is passed over.
local answer = {}
if ARGV[1] ~= '' then
  local mark = redis.call('HGET', P .. 'meta', 'move')
  mark = mark and cjson.decode(mark)
  if not mark or mark.role ~= 'target' or mark.other ~= ARGV[1] then return false end
end

local function import(id, n)
  local key, job, fields = job_key(id), {}, {}
  for place, name in ipairs(WHOLE) do
    job[name] = given(ARGV[n + place])
    if job[name] then
      fields[#fields + 1] = name
      fields[#fields + 1] = job[name]
    end
  end
  local ended = job.state ~= 'waiting' and job.state ~= 'running'
  if not ended and job.unique and redis.call('HSETNX', P .. 'unique', job.unique, id) == 0 then
    return redis.call('HGET', P .. 'unique', job.unique)
  end
  redis.call('HSET', key, unpack(fields))
  if not ended then
    redis.call('ZADD', P .. 'live', 0, id)
    line_up(id, job.queue, job.priority, job.task, job.run_after, job.attempts, job.expires_at)
    return
  end
  redis.call('ZADD', P .. 'past:' .. job.state, 0, id)
  if job.delete_after then redis.call('ZADD', P .. 'gone', job.delete_after, id) end
  if job.fingerprint then
    redis.call('ZADD', P .. 'error:' .. job.fingerprint, job.finished_at, id)
    redis.call('SADD', P .. 'errors', job.fingerprint)
  end
end

for n = 2, #ARGV, #WHOLE + 1 do
  local id = ARGV[n]
  local holder = redis.call('EXISTS', job_key(id)) == 0 and import(id, n)
  if holder then
    answer[#answer + 1] = id
    answer[#answer + 1] = holder
  end
end
return answer

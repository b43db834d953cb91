-- uses keys, closed, jobs, arriving
-- All jobs are stored, or none. ARGV: 'first' or 'again', then the jobs. The answer: what, and ids in pairs.
-- Again: a job that is known is passed over, wherever it stands by now. A call twice sent is no harm then.
local again, at = ARGV[1] == 'again', clock()
local jobs, taken = {}, {}
for n = 2, #ARGV, FIELDS do
  local job = arriving(n)
  local known = redis.call('EXISTS', job_key(job.id)) == 1
  if known and not again then return {'known', job.id} end
  if not known then
    local key = job.unique
    local holder = key and (redis.call('HGET', P .. 'unique', key) or taken[key])
    if holder and job.on_conflict == 'raise' then return {'held', job.id, holder} end
    local filling = holder and job.on_conflict == 'replace' and redis.call('HGET', P .. 'meta', 'filling')
    if filling then return redis.error_reply('CLOSED ' .. filling) end
    if key and not holder then taken[key] = job.id end
    jobs[#jobs + 1] = stamped(job, at, (n - 2) / FIELDS)
  end
end
local answer = {'stored'}
for _, job in ipairs(jobs) do
  local holder = job.unique and redis.call('HGET', P .. 'unique', job.unique)
  if holder then
    answer[#answer + 1] = job.id
    answer[#answer + 1] = holder
    if job.on_conflict == 'replace' then replace(holder, job) end
  else
    store(job, at)
  end
end
ring_idle(at)
return answer

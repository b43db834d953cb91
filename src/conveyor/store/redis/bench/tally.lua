-- uses keys
-- Up to ARGV[4] jobs of the index ARGV[1] from behind the id ARGV[2], but for those of the task ARGV[3]. The answer: the
-- last id that was looked at, how many there are, when the first of them started, and when the last one ended.
local last, jobs, began, ended = false, 0, nil, 0
local after = ARGV[2] == '' and '-' or '(' .. ARGV[2]
for _, id in ipairs(redis.call('ZRANGEBYLEX', P .. ARGV[1], after, '+', 'LIMIT', 0, ARGV[4])) do
  local job = redis.call('HMGET', job_key(id), 'task', 'started_at', 'finished_at')
  last = id
  if job[1] and job[1] ~= ARGV[3] then
    jobs = jobs + 1
    local started = tonumber(job[2] or nil)
    if started and (not began or started < began) then began = started end
    ended = math.max(ended, tonumber(job[3] or 0))
  end
end
return {last, jobs, digits(began or 0), digits(ended)}

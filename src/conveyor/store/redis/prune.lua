-- uses keys, closed, guarded, jobs, ends
-- Up to ARGV[1] ended jobs are gone that were to stay no longer; how many.
despite_want()
local gone = redis.call('ZRANGEBYSCORE', P .. 'gone', '-inf', clock(), 'LIMIT', 0, ARGV[1])
for _, id in ipairs(gone) do
  local job = redis.call('HMGET', job_key(id), 'state', 'fingerprint')
  take_out(id, job[1], job[2]) -- also where somebody has deleted it: then no more is known than its id
  redis.call('DEL', job_key(id))
end
return #gone

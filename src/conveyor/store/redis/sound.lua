-- Whether a job is found where its own fields say that it is. Scripts are whole steps, and so it is; but a server that was
-- killed in the middle of a write may carry out half of one later, and a full one may throw a key away. `keys`, `bell`,
-- `jobs` and `ends` come before this.
local OWN = {'state', 'queue', 'priority', 'task', 'max_attempts', 'run_after', 'more', 'token', 'runner', 'started_at'}
local NEEDED = 6 -- of these; without them nobody can run it, nor say where it belongs
local RARE = {'expires_at', 'unique', 'until_start', 'keep', 'attempt', 'last_attempted_at', 'cancelled', 'finished_at',
              'delete_after', 'fingerprint'} -- what one that waits has only with `more`, or has no use for

local function score(index, id)
  return tonumber(redis.call('ZSCORE', index, id))
end

-- What a job says of itself; nothing where there is none any more.
local function own(id)
  local job, got = {id = id}, redis.call('HMGET', job_key(id), unpack(OWN))
  for place, name in ipairs(OWN) do
    if place <= NEEDED and not got[place] then return false end
    job[name] = got[place]
  end
  local rare = (job.more or job.state ~= 'waiting') and redis.call('HMGET', job_key(id), unpack(RARE)) or NOTHING
  for place, name in ipairs(RARE) do job[name] = rare[place] or nil end
  job.ended = job.state ~= 'waiting' and job.state ~= 'running'
  job.lane = lane_of(job.queue, job.priority, job.task)
  job.run_after = tonumber(job.run_after)
  return job
end

-- Whether the lists of all jobs have it; a key that another job holds is that one's.
local function listed(job)
  return score(LIVE, job.id) and not (job.unique and redis.call('HEXISTS', P .. 'unique', job.unique) == 0)
end

local function queue_known(lane)
  lane.queued = lane.queued or redis.call('SISMEMBER', P .. 'queues', lane.queue) == 1
  return lane.queued
end

local function lane_known(lane)
  lane.known = lane.known or score(lane.lanes, lane.name)
  return lane.known and queue_known(lane)
end

local function waits_well(job)
  job.failed = (job.started_at or job.more) and redis.call('HEXISTS', job_key(job.id), 'attempts') == 1
  return score(job.lane.key, job.id) == job.run_after and lane_known(job.lane)
    and (not job.failed or score(job.lane.retry, job.id) == job.run_after)
    and (not job.expires_at or score(EXPIRING, job.id) == tonumber(job.expires_at))
end

-- Whether it was never taken in whole: nothing lists it, and its key is another's.
local function half(job)
  local holder = job.state == 'waiting' and job.unique and redis.call('HGET', P .. 'unique', job.unique)
  return holder and holder ~= job.id and not score(LIVE, job.id)
end

local function ended_well(job)
  return not score(LIVE, job.id) and score(P .. 'past:' .. job.state, job.id)
    and not (job.delete_after and not score(GONE, job.id))
    and not (job.unique and redis.call('HGET', P .. 'unique', job.unique) == job.id)
    and (not job.fingerprint or score(P .. 'error:' .. job.fingerprint, job.id)
         and redis.call('SISMEMBER', P .. 'errors', job.fingerprint) == 1)
end

local function runs_well(job, held, since)
  return since and held_as(held) == job.token and score(P .. 'runners', job.runner) and queue_known(job.lane)
    and (not job.cancelled or redis.call('SISMEMBER', P .. 'asked:' .. job.runner, job.id) == 1)
end

local function lives(runner)
  local lease = score(P .. 'runners', runner)
  return lease and lease > clock()
end

-- What is wrong with it: nothing, l it is not in its place, h nor is it where running jobs are, of which it is one, e nor
-- where ended ones are; r it says that it runs, but no claim has come to its end: that writes two indexes, last of all. A
-- living runner is to say so itself: it may be at work, on a server that has thrown both away.
local function fault(job)
  if job.ended then return not ended_well(job) and 'e' end
  if job.state == 'waiting' then return not (waits_well(job) and listed(job)) and 'l' end
  local held = job.runner and redis.call('HGET', P .. 'held:' .. job.runner, job.id)
  local since = score(job.lane.running, job.id)
  if not job.runner or not (held or since or lives(job.runner)) then return 'r' end
  return not (runs_well(job, held, since) and listed(job)) and 'h'
end

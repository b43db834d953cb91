-- All that there is of a job, in the order of Record in core/moving.py, behind its id.
local WHOLE = {'token', 'run_after', 'enqueued_at', 'started_at', 'last_attempted_at', 'finished_at', 'run_time', 'timeout',
               'runner', 'priority', 'attempt', 'max_attempts', 'crashes', 'state', 'task', 'queue', 'args', 'attempts',
               'result', 'extras', 'unique', 'cancelled', 'progress', 'fingerprint', 'delete_after', 'expires_at', 'keep',
               'until_start'}

local function whole(id)
  local answer = redis.call('HMGET', job_key(id), unpack(WHOLE))
  table.insert(answer, 1, id)
  return answer
end

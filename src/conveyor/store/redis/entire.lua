-- All that there is of a job, in the order of Record in core/moving.py, behind its id.
local ENTIRE = {'token', 'run_after', 'enqueued_at', 'started_at', 'last_attempted_at', 'finished_at', 'run_time',
                'timeout', 'runner', 'priority', 'attempt', 'max_attempts', 'crashes', 'state', 'task', 'queue', 'args',
                'attempts', 'result', 'extras', 'unique', 'cancelled', 'progress', 'fingerprint', 'delete_after',
                'expires_at', 'keep', 'until_start'}
local ZEROS = {1, 11, 13} -- places in it of what is not there while it is 0

local function entire(id)
  local key = job_key(id)
  local answer = redis.call('HMGET', key, unpack(ENTIRE))
  for _, place in ipairs(ZEROS) do answer[place] = answer[place] or '0' end
  answer[5] = answer[5] or answer[4] -- the first attempt was the last
  answer[17], answer[19] = whole(key, 'args', answer[17]), whole(key, 'result', answer[19])
  table.insert(answer, 1, id)
  return answer
end

-- uses keys
-- Leases of runners. ARGV[1] says what: 'register' RUNNER MICROSECONDS INFO, 'renew' MICROSECONDS RUNNER..., 'retire'
-- RUNNER 'clean' or 'dirty', 'all'. One that is lost stays lost.
local at, what = clock(), ARGV[1]
if what ~= 'all' then
  despite_want()
  touch()
end
if what == 'register' then
  local refused = redis.call('HMGET', P .. 'meta', 'closed', 'filling')
  if refused[1] or refused[2] then return redis.error_reply('CLOSED ' .. (refused[1] or refused[2])) end
  if redis.call('ZADD', P .. 'runners', 'NX', at + ARGV[3], ARGV[2]) == 1 then
    redis.call('HSET', P .. 'runner:' .. ARGV[2], 'started_at', at, 'info', ARGV[4])
  end
elseif what == 'renew' then
  local renewed = {}
  for n = 3, #ARGV do
    local lease = redis.call('ZSCORE', P .. 'runners', ARGV[n])
    if lease and tonumber(lease) > at then
      redis.call('ZADD', P .. 'runners', at + ARGV[2], ARGV[n])
      renewed[#renewed + 1] = ARGV[n]
    elseif lease then
      redis.call('ZADD', P .. 'runners', 'XX', 0, ARGV[n]) -- whatever becomes of the clock
    end
  end
  return renewed
elseif what == 'retire' then
  if ARGV[3] == 'clean' and redis.call('EXISTS', P .. 'held:' .. ARGV[2]) == 0 then
    redis.call('ZREM', P .. 'runners', ARGV[2])
    redis.call('DEL', P .. 'runner:' .. ARGV[2])
  else
    redis.call('ZADD', P .. 'runners', 'XX', 0, ARGV[2])
  end
else
  local answer = {}
  local runners = redis.call('ZRANGE', P .. 'runners', 0, -1, 'WITHSCORES')
  for n = 1, #runners, 2 do
    local runner = redis.call('HMGET', P .. 'runner:' .. runners[n], 'started_at', 'info')
    answer[#answer + 1] = {runners[n], tonumber(runners[n + 1]) > at and 1 or 0, runner[1], runner[2]}
  end
  return answer
end

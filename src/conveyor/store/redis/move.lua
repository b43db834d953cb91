-- uses keys
-- Closes a store to be moved, or to be filled, and opens it again. ARGV: 'close' ROLE TOLD MARK, 'note' MARK, 'open',
-- or 'mark'. The answer of the first: how many runners live, how many jobs run; of the last: the mark.
local what, meta = ARGV[1], P .. 'meta'
if what == 'mark' then return redis.call('HGET', meta, 'move') end
despite_want()
touch()
if what == 'note' then
  if redis.call('HEXISTS', meta, 'move') == 1 then redis.call('HSET', meta, 'move', ARGV[2]) end
elseif what == 'open' then
  redis.call('HDEL', meta, 'move', 'closed', 'filling')
else
  local alive, running = redis.call('ZCOUNT', P .. 'runners', '(' .. digits(clock()), '+inf'), 0
  if ARGV[2] == 'source' then
    for _, queue in ipairs(redis.call('SMEMBERS', P .. 'queues')) do
      running = running + redis.call('ZCARD', running_key(queue))
    end
  end
  if alive + running == 0 then
    redis.call('HDEL', meta, 'closed', 'filling')
    redis.call('HSET', meta, 'move', ARGV[4], ARGV[2] == 'source' and 'closed' or 'filling', ARGV[3])
  end
  return {alive, running}
end

-- uses keys, closed
-- Nothing of the queue ARGV[1] is claimed any more, or it is again: ARGV[2] is 'pause' or 'resume'.
despite_want()
touch()
if ARGV[2] == 'pause' then
  redis.call('HSETNX', P .. 'paused', ARGV[1], clock())
else
  redis.call('HDEL', P .. 'paused', ARGV[1])
  ring('!')
end

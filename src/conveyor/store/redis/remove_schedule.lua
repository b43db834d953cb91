-- uses keys, closed, guarded
despite_want()
touch()
redis.call('ZREM', P .. 'ticks', ARGV[1])
redis.call('ZREM', P .. 'schedules', ARGV[1])
return redis.call('DEL', P .. 'schedule:' .. ARGV[1])

-- uses keys, bell
-- The ear ARGV[1] rests no more for the queues ARGV[2] on.
despite_want()
for n = 2, #ARGV do redis.call('ZREM', resting_key(ARGV[n]), ARGV[1]) end

-- uses keys
-- Somebody waits for the bell, for ARGV[1] microseconds at least.
despite_want()
local until_ = clock() + ARGV[1]
local known = redis.call('GET', P .. 'idle')
if not known or tonumber(known) < until_ then redis.call('SET', P .. 'idle', digits(until_)) end

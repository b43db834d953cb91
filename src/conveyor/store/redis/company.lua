-- uses keys
-- How many jobs the dead runner ARGV[1] held: ARGV[2], or what was written down when the first of them were taken back.
despite_want()
local key = P .. 'company:' .. ARGV[1]
local most = math.max(redis.call('GET', key) or 0, ARGV[2])
redis.call('SET', key, most, 'EX', 86400)
return most

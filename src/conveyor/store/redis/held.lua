-- uses keys
-- Id and token of each job that a runner holds.
return redis.call('HGETALL', P .. 'held:' .. ARGV[1])

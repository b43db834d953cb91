-- uses keys
-- The store's own id: ARGV[1], unless it has one. ARGV[2] is the number of its form.
redis.call('HSETNX', P .. 'meta', 'store_id', ARGV[1])
redis.call('HSETNX', P .. 'meta', 'schema', ARGV[2])
return redis.call('HMGET', P .. 'meta', 'store_id', 'schema')

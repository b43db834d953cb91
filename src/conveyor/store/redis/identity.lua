-- uses keys
-- The store's own id: ARGV[1], unless it has one. ARGV[2] is the number of its form, ARGV[3] how many shards it has.
for n, name in ipairs({'store_id', 'schema', 'shards'}) do redis.call('HSETNX', P .. 'meta', name, ARGV[n]) end
return redis.call('HMGET', P .. 'meta', 'store_id', 'schema', 'shards')

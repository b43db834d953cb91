-- uses keys
-- The store's own id: ARGV[1], unless it has one. ARGV[2] is the number of its form, ARGV[3] how many shards it has.
if redis.call('EXISTS', P .. 'meta') == 0 then
  redis.call('HSET', P .. 'meta', 'store_id', ARGV[1], 'schema', ARGV[2], 'shards', ARGV[3])
end
return redis.call('HMGET', P .. 'meta', 'store_id', 'schema', 'shards')

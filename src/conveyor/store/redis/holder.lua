-- uses keys
-- The unfinished job that holds a unique key.
return redis.call('HGET', P .. 'unique', ARGV[1])

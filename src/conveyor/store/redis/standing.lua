-- uses keys
-- The stored state of a job, and the token that it bears.
return redis.call('HMGET', job_key(ARGV[1]), 'state', 'token')

-- uses keys
-- The fingerprints of all errors that ended jobs have.
return redis.call('SMEMBERS', P .. 'errors')

-- uses keys
-- The queues that are known, and those that are paused.
return {redis.call('SMEMBERS', P .. 'queues'), redis.call('HKEYS', P .. 'paused')}

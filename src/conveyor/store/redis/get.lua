-- uses keys, parts, reading
-- One job's record.
if redis.call('EXISTS', job_key(ARGV[1])) == 1 then return record(ARGV[1], clock()) end

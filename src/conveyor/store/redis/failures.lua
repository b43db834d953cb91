-- uses keys, parts, reading
-- The jobs of one error, ARGV[1], that are meant, from the place ARGV[2] on; the filter follows.
-- The answer: how many, when the first and the latest ended, the latest, its task and record; 1 when there are no more.
local at, where, first = clock(), filter(3), tonumber(ARGV[2])
local ids = redis.call('ZRANGE', P .. 'error:' .. ARGV[1], first, first + BUDGET - 1)
local number, earliest, latest = 0, nil, nil
for _, id in ipairs(ids) do
  if meant(id, where, at) then
    number, earliest, latest = number + 1, earliest or id, id
  end
end
local all = #ids < BUDGET and 1 or 0
if not latest then return {0, all} end
local last = redis.call('HMGET', job_key(latest), 'finished_at', 'task', 'attempts')
return {number, all, redis.call('HGET', job_key(earliest), 'finished_at'), last[1], latest, last[2], last[3]}

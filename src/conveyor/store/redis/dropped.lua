-- uses keys, bell, jobs, ends, ticks
-- The jobs ARGV are gone, and the schedules: ARGV[1] says how many of the first ARGV are jobs.
despite_want()
touch()
local jobs = tonumber(ARGV[1])

local function drop(id)
  local key = job_key(id)
  local job = redis.call('HMGET', key, 'state', 'queue', 'priority', 'task', 'unique', 'fingerprint')
  if not job[1] then return end
  if job[1] == 'waiting' then
    leave_line(id, lane_of(job[2], job[3], job[4]))
    note('ZREM', LIVE, id)
    if job[5] then give_key_up(id, job[5]) end
    emptied[job[2]] = true
  else
    take_out(id, job[1], job[6])
  end
  redis.call('DEL', key)
end

for n = 2, jobs + 1 do drop(ARGV[n]) end
write_noted()
for n = jobs + 2, #ARGV do
  redis.call('DEL', P .. 'schedule:' .. ARGV[n])
  redis.call('ZREM', P .. 'schedules', ARGV[n])
  note_tick(ARGV[n])
end

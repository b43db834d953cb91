-- How a job comes into the indexes, and leaves them. A job is one hash, wherever it stands; what is not there is null.
-- What goes to an index is noted, and goes there in one command for all jobs of a script: `write_noted` is to be called
-- before an index is read again, and last of all.
local NOTHING = {}
local MANY = 4000 -- arguments of one command; Lua has room for 8,000
local ORDER = {'ZREM', 'HDEL', 'SREM', 'ZADD', 'HSET', 'SADD'} -- who leaves a place and comes back is there
local noted, lanes, lined, left, emptied = {}, {}, {}, {}, {}

local function note(command, key, one, two)
  local keys = noted[command]
  if not keys then
    keys = {}
    noted[command] = keys
  end
  local list = keys[key]
  if not list then
    list = {n = 0}
    keys[key] = list
  end
  local n = list.n + 1
  list[n] = one
  if two then
    n = n + 1
    list[n] = two
  end
  list.n = n
end

local function write_noted()
  for _, command in ipairs(ORDER) do
    local keys = noted[command]
    for key, list in pairs(keys or NOTHING) do
      for first = 1, list.n, MANY do
        redis.call(command, key, unpack(list, first, math.min(first + MANY - 1, list.n)))
      end
    end
  end
  for lane, place in pairs(left) do
    if redis.call('EXISTS', lane) == 0 then redis.call('ZREM', place.lanes, place.name) end
  end
  -- A queue is known for as long as it has unfinished jobs.
  for queue in pairs(emptied) do
    if redis.call('EXISTS', lanes_key(queue), running_key(queue)) == 0 then redis.call('SREM', P .. 'queues', queue) end
  end
  noted, lined, left, emptied = {}, {}, {}, {}
  rouse_awaited()
end

-- Where a lane is, and how it is known; most jobs of a script are of few.
local function lane_of(queue, priority, task)
  local known = lanes[task]
  if known and known.queue == queue and known.priority == priority then return known end
  local lane = {key = lane_key(queue, priority, task), queue = queue, priority = priority, retry = P .. 'retry:' .. queue,
                running = running_key(queue), lanes = lanes_key(queue), name = priority .. ':' .. task}
  lanes[task] = lane
  return lane
end

local function line_up(id, lane, run_after, failed, expires_at)
  note('ZADD', lane.key, run_after, id)
  if not lined[lane.key] then
    lined[lane.key] = true
    note('ZADD', lane.lanes, 0 - lane.priority, lane.name)
    note('SADD', P .. 'queues', lane.queue)
  end
  announce(lane.queue, run_after)
  if failed then note('ZADD', lane.retry, run_after, id) end
  if expires_at then note('ZADD', EXPIRING, expires_at, id) end
end

-- *new*: it has never been tried; *plain*: nor has it anything that few jobs have.
local function leave_line(id, lane, new, plain)
  note('ZREM', lane.key, id)
  if not new then note('ZREM', lane.retry, id) end
  if not plain then note('ZREM', EXPIRING, id) end
  left[lane.key] = lane
end

local function give_key_up(id, key)
  if redis.call('HGET', P .. 'unique', key) == id then redis.call('HDEL', P .. 'unique', key) end
end

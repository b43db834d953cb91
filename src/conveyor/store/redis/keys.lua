-- The names of keys, and the clock. KEYS[1] is the shard's prefix: its {tag} keeps all keys of the shard on one node.
local P = KEYS[1] .. ':'
local LIVE, GONE, EXPIRING = P .. 'live', P .. 'gone', P .. 'expiring'

-- Microseconds of the server's clock, as this script began. Lua's numbers hold them exactly until the year 2255.
local began
local function clock()
  if not began then
    local time = redis.call('TIME')
    began = time[1] * 1000000 + time[2]
  end
  return began
end

-- As text, for answers and for `..`, which would write 1.7e+15.
local function digits(number)
  return string.format('%.0f', number)
end

-- A value that may be missing travels as nothing, or behind a mark.
local function given(argument)
  if argument == '' then return false end
  return string.sub(argument, 2)
end

local function job_key(id)
  return P .. 'job:' .. id
end

-- The jobs of one task and one priority that wait in a queue, by the time from which they may start.
local function lanes_begin(queue)
  return P .. 'lane:' .. #queue .. ':' .. queue .. ':'
end

local function lane_key(queue, priority, task)
  return lanes_begin(queue) .. priority .. ':' .. task
end

-- The lanes of a queue by what stands behind `lanes_begin`: their priority, and their task.
local function lanes_key(queue)
  return P .. 'lanes:' .. queue
end

local function running_key(queue)
  return P .. 'running:' .. queue
end

-- The channel in which all hear what concerns all; the shards share it. See bell.lua for what concerns one.
local function bell()
  return string.match(KEYS[1], '^{(.*):[%d.]+}$') .. ':bell'
end

-- *why* is a letter: see Ring in plan.py.
local function ring(why)
  redis.call('PUBLISH', bell(), why)
end

-- First of all in what must go on when the server is full: it refuses a script that begins with a write that may need
-- memory. Behind one that frees some, all others may follow.
local function despite_want()
  redis.call('DEL', P .. 'none')
end

-- What was written before, by a call whose answer was lost, is not written again. Whoever then waits for replicas would
-- wait for nothing (Valkey), so something is written each time.
local function touch()
  redis.call('INCR', P .. 'calls')
end

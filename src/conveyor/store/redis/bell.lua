-- Who rests: by queue the ears of workers that found nothing more and have room, each with the time until which it waits to
-- be rung. Claiming and lying down are one step, so that no job comes between. Who is rung rests no more, until its next
-- claim; the one that has rested longest comes first. `keys` comes before this.
local NEAR = 10000000 -- microseconds; who rests claims twice as often, and hears then when the next job comes due
local ALL = 1000
local CLUSTER = 'c' -- how the ears begin of those that listen at some node of a Cluster: nobody is told if they heard
local awaited = {} -- by queue, for how many jobs somebody is to be rung

local function resting_key(queue)
  return P .. 'resting:' .. queue
end

local function lie_down(queue, ear, microseconds)
  local key = resting_key(queue)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', digits(clock())) -- who died at rest, and was never to be rung
  redis.call('ZADD', key, digits(clock() + microseconds), ear)
  redis.call('PEXPIRE', key, math.ceil(microseconds / 1000))
end

-- Ring so many of those that rest for the queue, as far as there are: '!', or '+' for what one of them has passed on. An ear
-- that is gone hears nothing, and another is rung. Who may not ring has done the rest, and must not be told otherwise.
local function rouse(queue, count, mark)
  local key, channel = resting_key(queue), bell() .. ':'
  while count > 0 do
    local found, ears = redis.call('ZRANGE', key, 0, math.min(count, ALL) - 1, 'WITHSCORES'), {}
    if not found[1] then return end
    for n = 1, #found, 2 do
      local ear = found[n]
      ears[#ears + 1] = ear
      local heard = tonumber(found[n + 1]) > clock() and redis.pcall('PUBLISH', channel .. ear, KEYS[1] .. mark .. queue)
      if type(heard) == 'number' and (heard > 0 or string.sub(ear, 1, 1) == CLUSTER) then count = count - 1 end
    end
    redis.call('ZREM', key, unpack(ears))
  end
end

-- A job waits in the queue from now on, until *run_after*: somebody is to be rung. One that is due far from now will be
-- heard of before that.
local function announce(queue, run_after)
  local away = run_after - clock()
  if away < NEAR then awaited[queue] = (awaited[queue] or 0) + (away < 50000 and 1 or ALL) end
end

-- For each job one, and one more, for any may be about to end, or have stopped in the middle of whatever it does.
local function rouse_awaited()
  for queue, count in pairs(awaited) do rouse(queue, count + 1, '!') end
  awaited = {}
end

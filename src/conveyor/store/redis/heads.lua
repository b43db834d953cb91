-- The lanes of a queue, and the jobs of several in the order of their times, without reading more than a few behind those that
-- are wanted: the lanes are merged, each read in pieces that begin small and double. `keys` comes before this.
local soonest -- of those that come due later, as far as lanes were read to there

local function sooner(a, b)
  if a.run_after ~= b.run_after then return a.run_after < b.run_after end
  return a.id < b.id
end

-- Whether the lane has a job more that is due until *now*; it is its head then.
local function advanced(lane, now, room)
  lane.n = lane.n + 2
  if not lane.read[lane.n] then
    if #lane.read < 2 * lane.piece then return false end -- it had fewer than it was asked for
    lane.seen = lane.seen + lane.piece
    lane.piece = math.min(2 * lane.piece, room + 1)
    lane.read = redis.call('ZRANGE', lane.key, lane.seen, lane.seen + lane.piece - 1, 'WITHSCORES')
    lane.n = 1
    if not lane.read[1] then return false end
  end
  lane.id, lane.run_after = lane.read[lane.n], tonumber(lane.read[lane.n + 1])
  if lane.run_after <= now then return true end
  if not soonest or lane.run_after < soonest then soonest = lane.run_after end
  return false
end

-- The lanes are a heap, the soonest on top: a lane is not later than the two at twice its place and behind that.
local function sink(heap, place)
  local lane, last = heap[place], #heap
  while 2 * place <= last do
    local below = 2 * place
    if below < last and sooner(heap[below + 1], heap[below]) then below = below + 1 end
    if not sooner(heap[below], lane) then break end
    heap[place] = heap[below]
    place = below
  end
  heap[place] = lane
end

-- The first *room* that are due until *now*, of the lanes of one priority: id, run_after as text, and task of each, in turn.
local function heads(queue, priority, tasks, room, now)
  local heap, found, piece = {}, {}, math.ceil(room / #tasks) + 1 -- behind those that are due stands when the next one is
  local begins = lane_key(queue, priority, '')
  for _, task in ipairs(tasks) do
    local key = begins .. task
    local read = redis.call('ZRANGE', key, 0, piece - 1, 'WITHSCORES')
    local lane = {key = key, task = task, read = read, piece = piece, seen = 0, n = -1}
    if read[1] and advanced(lane, now, room) then heap[#heap + 1] = lane end
  end
  for place = math.floor(#heap / 2), 1, -1 do sink(heap, place) end
  local n = 0
  while heap[1] and n < 3 * room do
    local lane = heap[1]
    found[n + 1], found[n + 2], found[n + 3] = lane.id, lane.read[lane.n + 1], lane.task
    n = n + 3
    if not advanced(lane, now, room - n / 3) then
      heap[1] = heap[#heap]
      heap[#heap] = nil
    end
    if heap[2] then sink(heap, 1) end
  end
  return found
end

-- Priority and task of a lane, by its name.
local function split(lane)
  local colon = string.find(lane, ':', 1, true)
  return string.sub(lane, 1, colon - 1), string.sub(lane, colon + 1)
end

-- Call *do_* with each priority of the *lanes* of a queue, the highest first, and the tasks that have a lane of it; only
-- with those of *known*, where that is given.
local function by_priority(lanes, do_, known)
  local priority, tasks = nil, {}
  for _, lane in ipairs(lanes) do
    local its, task = split(lane)
    if its ~= priority then
      if #tasks > 0 then do_(priority, tasks) end
      priority, tasks = its, {}
    end
    if not known or known[task] then tasks[#tasks + 1] = task end
  end
  if #tasks > 0 then do_(priority, tasks) end
end

-- A hash takes half the room for as long as no value of it is longer than 64 bytes. So one of up to 512 lies in parts:
-- in `args`, `args2`, `args3`; where the first is full, there may be others.
local PART, PARTS = 64, 8

local names = {}

-- What the parts behind the first are called.
local function later(name)
  if not names[name] then
    names[name] = {}
    for place = 2, PARTS do names[name][place - 1] = name .. place end
  end
  return names[name]
end

-- Append to *fields* the names and values that *value* is kept in.
local function put(fields, name, value)
  local n, parted = #fields, #value > PART and #value <= PART * PARTS
  fields[n + 1], fields[n + 2] = name, parted and string.sub(value, 1, PART) or value
  if not parted then return end
  for place = 2, math.ceil(#value / PART) do
    n = n + 2
    fields[n + 1], fields[n + 2] = later(name)[place - 1], string.sub(value, (place - 1) * PART + 1, place * PART)
  end
end

-- The whole value, of which *first* was read.
local function whole(key, name, first)
  if not first or #first ~= PART then return first end
  local parts = redis.call('HMGET', key, unpack(later(name)))
  for place = 1, PARTS - 1 do parts[place] = parts[place] or '' end
  return first .. table.concat(parts)
end

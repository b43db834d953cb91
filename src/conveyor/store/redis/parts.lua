-- A hash takes half the room for as long as no value of it is longer than 64 bytes. So one of up to 512 lies in parts:
-- in `args`, `args2`, `args3`; where the first is full, there may be others.
local PART, PARTS = 64, 8

local LATER = {
  args = {'args2', 'args3', 'args4', 'args5', 'args6', 'args7', 'args8'},
  result = {'result2', 'result3', 'result4', 'result5', 'result6', 'result7', 'result8'},
}

-- Append to *fields* the names and values that *value* is kept in.
local function put(fields, name, value)
  local n, parted = #fields, #value > PART and #value <= PART * PARTS
  fields[n + 1], fields[n + 2] = name, parted and string.sub(value, 1, PART) or value
  if not parted then return end
  for place = 2, math.ceil(#value / PART) do
    n = n + 2
    fields[n + 1], fields[n + 2] = LATER[name][place - 1], string.sub(value, (place - 1) * PART + 1, place * PART)
  end
end

-- The whole value, of which *first* was read.
local function whole(key, name, first)
  if not first or #first ~= PART then return first end
  local parts = redis.call('HMGET', key, unpack(LATER[name]))
  for place = 1, PARTS - 1 do parts[place] = parts[place] or '' end
  return first .. table.concat(parts)
end

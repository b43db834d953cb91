-- uses keys, parts, reading
-- Records from behind an id. ARGV: 'newest' or 'oldest', that id, how many, the filter, the indexes.
-- The answer: the last id that was looked at, 1 when there are no more, then the records.
local at, found = clock(), {}
local wanted, where = tonumber(ARGV[3]), filter(4)
local last, all = look(4 + FILTER, ARGV[2], ARGV[1] == 'newest', function(id)
  if meant(id, where, at) then found[#found + 1] = record(id, at) end
  return #found >= wanted
end)
return {last, all, unpack(found)}

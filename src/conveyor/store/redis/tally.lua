-- uses keys, parts, reading
-- How many jobs are meant, by shown state, from behind an id. ARGV: that id, the filter, the indexes.
-- The answer: the last id that was looked at, 1 when there are no more, then states and numbers in turn.
local at, counts, where = clock(), {}, filter(2)
local last, all = look(2 + FILTER, ARGV[1], false, function(id)
  local state = meant(id, where, at)
  if state then counts[state] = (counts[state] or 0) + 1 end
end)
local answer = {last, all}
for state, number in pairs(counts) do
  answer[#answer + 1] = state
  answer[#answer + 1] = number
end
return answer

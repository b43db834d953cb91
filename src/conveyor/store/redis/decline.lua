-- uses keys, bell
-- Who was rung for the queues ARGV has no room by now: others are rung instead.
despite_want()
for _, queue in ipairs(ARGV) do rouse(queue, 1, '!') end

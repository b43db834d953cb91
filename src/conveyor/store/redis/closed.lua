-- A store that conveyor move has closed refuses all this; see store/moving.py.
local closed = redis.call('HGET', P .. 'meta', 'closed')
if closed then return redis.error_reply('CLOSED ' .. closed) end

-- And one that it is filling refuses this.
local filling = redis.call('HGET', P .. 'meta', 'filling')
if filling then return redis.error_reply('CLOSED ' .. filling) end

-- uses keys
-- Locks. ARGV: what, the name, then for 'take' owner, holder and microseconds; for 'renew' token and microseconds; for
-- 'release' the token; for 'forsake' the owner; nothing for 'look'. A row stays, for its token must never come twice.
local at, what, key = clock(), ARGV[1], P .. 'lock:' .. ARGV[2]
if what ~= 'look' then
  despite_want()
  touch()
end
local row = redis.call('HMGET', key, 'token', 'owner', 'holder', 'taken_at', 'expires_at')
local held = row[5] and tonumber(row[5]) > at

if what == 'take' and not held then
  local token = math.max((row[1] or 0) + 1, at)
  redis.call('HSET', key, 'token', token, 'owner', ARGV[3], 'holder', ARGV[4], 'taken_at', at, 'expires_at', at + ARGV[5])
  return digits(token)
elseif what == 'take' or what == 'look' then
  return held and {row[1], row[3], row[4], digits(at)} or false
elseif what == 'forsake' then
  if row[2] == ARGV[3] then redis.call('HSET', key, 'expires_at', 0) end
  return 0
end
if row[1] ~= ARGV[3] or row[5] == '0' then return 0 end
redis.call('HSET', key, 'expires_at', what == 'renew' and at + ARGV[4] or 0)
return 1

-- Reads the cooldowns: names and remaining microseconds in turn. With arguments, adds one before; an end never moves back.
-- KEYS: cooldowns (a sorted set of names by their end)
-- ARGV: name, microseconds
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local function exact(number) return string.format('%.17g', number) end
if ARGV[1] then
    redis.call('ZADD', KEYS[1], 'GT', exact(now + tonumber(ARGV[2])), ARGV[1])
    redis.call('PEXPIRE', KEYS[1], 86400000)
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', exact(now))
local entries = redis.call('ZRANGE', KEYS[1], 0, 9999, 'WITHSCORES')
for i = 2, #entries, 2 do entries[i] = exact(tonumber(entries[i]) - now) end
return entries

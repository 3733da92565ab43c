-- Adds what a process has spent on its own while it could not reach the server, once.
-- KEYS: usage, a mark of this charge
-- ARGV: dollars, the period of the budget, how long the usage is kept at least
if not redis.call('SET', KEYS[2], '1', 'NX', 'PX', 3600000) then return 0 end
local dollars, period = tonumber(ARGV[1]), tonumber(ARGV[2])
local h = redis.call('HMGET', KEYS[1], 'epoch', 'period', 'spent')
local current = tonumber(h[2])
if current and current > period then return 0 end
local spent = 0
if current == period then spent = tonumber(h[3]) or 0 end
redis.call('HSET', KEYS[1], 'period', period, 'spent', string.format('%.17g', spent + dollars))
if not h[1] then
    local time = redis.call('TIME')
    redis.call('HSET', KEYS[1], 'epoch', string.format('%.17g', tonumber(time[1]) * 1000000 + tonumber(time[2])))
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1

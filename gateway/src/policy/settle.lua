-- Replaces the estimate of a request by what it took, once. Returns 0 if the request is not known, or was settled before.
-- KEYS: usage, permits
-- ARGV: ID; epoch, or 0 for any; limit and period of requests; limit and period of tokens; differences of requests, tokens and
--       dollars; the period of the budget.
local usage, permits = KEYS[1], KEYS[2]
if redis.call('ZREM', permits, ARGV[1]) == 0 then return 0 end
local a = {}
for i = 2, 10 do a[i] = tonumber(ARGV[i]) end
local h = redis.call('HMGET', usage, 'epoch', 'at', 'requests', 'tokens', 'period', 'spent')
-- The usage was lost, and the estimate with it.
if not h[1] or (a[2] ~= 0 and tonumber(h[1]) ~= a[2]) then return 1 end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local elapsed = math.max(0, now - (tonumber(h[2]) or now))
local function settled(used, limit, per, difference)
    if limit < 0 then return 0 end
    return math.max(0, math.max(0, (tonumber(used) or 0) - elapsed * limit / per) + difference)
end
local function exact(number) return string.format('%.17g', number) end
redis.call('HSET', usage, 'at', exact(now), 'requests', exact(settled(h[3], a[3], a[4], a[7])),
    'tokens', exact(settled(h[4], a[5], a[6], a[8])))
if tonumber(h[5]) == a[10] then
    redis.call('HSET', usage, 'spent', exact(math.max(0, (tonumber(h[6]) or 0) + a[9])))
end
return 1

-- Admits a request, or not, and returns what the key has used.
-- KEYS: usage (a hash), permits (a sorted set of IDs by the end of their lease)
-- ARGV: ID, lease; limit and period of requests; limit and period of tokens; requests at the same time; budget;
--       tokens, dollars; the first days of the period of the budget before, of this one and of the next; the IDs of
--       requests that have ended and are not settled yet.
-- Times are microseconds, dollars billionths; a limit of -1 is none. limits.rs has the same arithmetic.
local usage, permits = KEYS[1], KEYS[2]
local id, lease = ARGV[1], tonumber(ARGV[2])
local a = {}
for i = 3, 13 do a[i] = tonumber(ARGV[i]) end
local requests_limit, requests_period, tokens_limit, tokens_period = a[3], a[4], a[5], a[6]
local parallel_limit, budget, tokens_cost, dollars = a[7], a[8], a[9], a[10]

local function exact(number) return string.format('%.17g', number) end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local day = now / 86400000000
local period = a[12]
if day >= a[13] then period = a[13] elseif day < period then period = a[11] end

local h = redis.call('HMGET', usage, 'epoch', 'at', 'requests', 'tokens', 'period', 'spent')
local epoch, at = tonumber(h[1]) or now, tonumber(h[2]) or now
local elapsed = math.max(0, now - at)
local function drained(used, limit, per)
    if limit < 0 then return 0 end
    return math.max(0, (tonumber(used) or 0) - elapsed * limit / per)
end
local requests = drained(h[3], requests_limit, requests_period)
local tokens = drained(h[4], tokens_limit, tokens_period)
local spent = 0
if tonumber(h[5]) == period then spent = tonumber(h[6]) or 0 end

for i = 14, #ARGV do redis.call('ZADD', permits, 'XX', exact(now), ARGV[i]) end
-- A permit whose lease is over does not count, and can still be settled.
redis.call('ZREMRANGEBYSCORE', permits, '-inf', exact(now - 3600000000))
local parallel = redis.call('ZCOUNT', permits, '(' .. exact(now), '+inf')

local tolerance = 0.000001
local admitted = (requests_limit < 0 or requests + 1 <= requests_limit + tolerance)
    and (tokens_limit < 0 or tokens + tokens_cost <= tokens_limit + tolerance)
    and (parallel_limit < 0 or parallel < parallel_limit)
    and (budget < 0 or spent + dollars <= budget)

if admitted then
    if requests_limit >= 0 then requests = requests + 1 end
    if tokens_limit >= 0 then tokens = tokens + tokens_cost end
    parallel, spent = parallel + 1, spent + dollars
    redis.call('HSET', usage, 'epoch', exact(epoch), 'at', exact(now), 'requests', exact(requests),
        'tokens', exact(tokens), 'period', period, 'spent', exact(spent))
    redis.call('ZADD', permits, exact(now + lease), id)
    -- What is not used any more goes: when the buckets are full again and the period of the budget is over.
    local keep = math.max(3600000000, requests_period, tokens_period)
    if budget >= 0 then keep = math.max(keep, a[13] * 86400000000 - now + 3600000000) end
    redis.call('PEXPIRE', usage, math.ceil(keep / 1000))
    redis.call('PEXPIRE', permits, math.ceil(lease / 1000) + 3600000)
end
return {admitted and 1 or 0, exact(epoch), exact(now), exact(requests), exact(tokens), parallel, period, exact(spent)}

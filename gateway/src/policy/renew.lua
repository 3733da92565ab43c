-- Renews the leases of permits. One that the server has lost comes back.
-- KEYS: permits
-- ARGV: lease, IDs
local time = redis.call('TIME')
local lease = tonumber(ARGV[1])
local ends = string.format('%.17g', tonumber(time[1]) * 1000000 + tonumber(time[2]) + lease)
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], ends, ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], math.ceil(lease / 1000) + 3600000)
return #ARGV - 1

-- Closes a bucket for a while, because the provider said so.
--
-- KEYS[1]  the bucket (see budgets.lua)
-- ARGV     now in ms or '' for this server's clock; how long to close in ms; how long a bucket lives in ms

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
local until_ms = now + tonumber(ARGV[2])
if until_ms > (tonumber(redis.call('HGET', KEYS[1], 'closed')) or 0) then
  redis.call('HSET', KEYS[1], 'closed', string.format('%.0f', until_ms))
end
local life = math.max(tonumber(ARGV[2]), tonumber(ARGV[3]), redis.call('PTTL', KEYS[1]))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', life))

-- Closes a bucket for a while, because the provider refused; returns for how many milliseconds it is closed.
--
-- KEYS[1]  the bucket (see budgets.lua)
-- ARGV     now in ms or '' for this server's clock; how long to close in ms, '' if the provider named no time; how long
--          a bucket lives in ms; the first and the longest wait in ms where no time is named
--
-- Where no time is named, the wait doubles with each refusal that comes soon after the last wait was over. Refusals that
-- come while the bucket is closed are of requests that were under way: they count as the one that closed it.

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
local closed = tonumber(redis.call('HGET', KEYS[1], 'closed')) or 0
local wait = tonumber(ARGV[2])
if not wait then
  if closed > now then return closed - now end
  local first, longest = tonumber(ARGV[4]), tonumber(ARGV[5])
  local refusals = (now - closed <= longest) and (tonumber(redis.call('HGET', KEYS[1], 'refusals')) or 0) + 1 or 1
  redis.call('HSET', KEYS[1], 'refusals', refusals)
  wait = math.min(first * 2 ^ math.min(refusals - 1, 20), longest)
end
if now + wait > closed then
  redis.call('HSET', KEYS[1], 'closed', string.format('%.0f', now + wait))
end
local life = math.max(2 * wait, tonumber(ARGV[3]), redis.call('PTTL', KEYS[1]))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', life))
return wait

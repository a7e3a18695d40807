-- Takes permits from several buckets at once, or from none.
--
-- KEYS[1]                the book: the moment (ms) since which spending is on record; 0 = since ever
-- KEYS[3i-1]             bucket i, a hash: slot, total, closed, and the units spent in each slot by its number; or, with a
--                        lease, the places that are taken, a sorted set of leases by the moment when they end by themselves
-- KEYS[3i], KEYS[3i+1]   for a shared bucket: who waits (sorted set by the end of waiting), this sharer's own bucket; for
--                        places: the line of those who wait (sorted set of 'lease:units' by the moment when they came),
--                        and until when each stands in it without asking again
-- ARGV[1]                now in ms, for tests; '' = this server's clock
-- ARGV[2]                how to open a missing book: '' = do not, 'first' = nothing was ever spent, 'lost' = all may be
-- ARGV[3], ARGV[4]       slots in a window; slots that are counted (more than a window, see budgets.py)
-- ARGV[5i .. 5i+4]       bucket i: limit, window in ms, units, sharer ('' = the bucket is not shared out), and the lease
--                        under which places are taken ('' = a bucket of units)
--
-- Returns {'taken'}, {'no book'}, {'wait', milliseconds}, or {'busy', how many stand before this one in the line}: places
-- are free when somebody gives them back.

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
local slots, counted = tonumber(ARGV[3]), tonumber(ARGV[4])
-- How long (ms) one keeps one's place in a line without asking again: ten times as long as who waits lets pass.
local STANDS = 500
-- How long (ms) one is passed by by those who fit in between: places that nobody can use yet should not stand empty.
local PATIENCE = 250
local number = function(value) return string.format('%.0f', value) end

local born = tonumber(redis.call('GET', KEYS[1]))
if not born then
  if ARGV[2] == '' then return {'no book'} end
  born = (ARGV[2] == 'first') and 0 or now
  redis.call('SET', KEYS[1], number(born))
end
if born > now then
  -- The clock was set back: what was lost then is counted from now on.
  born = now
  redis.call('SET', KEYS[1], number(born))
end

-- The bucket as of now: what left the window is taken off it.
local function read(key, window)
  local slot = math.floor(now * slots / window)
  local head = redis.call('HMGET', key, 'slot', 'total', 'closed')
  local bucket = {key = key, window = window, slot = slot, total = tonumber(head[2]) or 0,
                  closed = tonumber(head[3]) or 0, fresh = not head[1]}
  local last = tonumber(head[1])
  if not last or last == slot then return bucket end
  local fields = redis.call('HGETALL', key)
  bucket.total = 0
  for i = 1, #fields, 2 do
    local of = tonumber(fields[i])
    if of then
      if of > slot then
        -- The clock was set back: count it as spent just now.
        redis.call('HDEL', key, fields[i])
        redis.call('HINCRBY', key, number(slot), fields[i + 1])
        bucket.total = bucket.total + tonumber(fields[i + 1])
      elseif slot - of >= counted then
        redis.call('HDEL', key, fields[i])
      else
        bucket.total = bucket.total + tonumber(fields[i + 1])
      end
    end
  end
  redis.call('HSET', key, 'slot', number(slot), 'total', number(bucket.total))
  return bucket
end

-- Milliseconds until `units` fit under `limit`, 0 if they do now.
local function wait_for(bucket, units, limit)
  local wait = 0
  if bucket.closed > now then wait = bucket.closed - now end
  if bucket.fresh then
    -- Nothing on record. Either nothing was spent, or the record is younger than the window that it must cover.
    return math.max(wait, born + counted * bucket.window / slots - now)
  end
  if bucket.total + units <= limit then return wait end
  local fields, of_slot, order = redis.call('HGETALL', bucket.key), {}, {}
  for i = 1, #fields, 2 do
    local of = tonumber(fields[i])
    if of then
      of_slot[of] = tonumber(fields[i + 1])
      order[#order + 1] = of
    end
  end
  table.sort(order)
  local left = bucket.total
  for _, of in ipairs(order) do
    left = left - of_slot[of]
    if left + units <= limit then
      return math.max(wait, (of + counted) * bucket.window / slots - now, 1)
    end
  end
  return math.max(wait, counted * bucket.window / slots)
end

local function spend(bucket, units)
  redis.call('HINCRBY', bucket.key, number(bucket.slot), units)
  redis.call('HSET', bucket.key, 'slot', number(bucket.slot), 'total', number(bucket.total + units))
  local life = math.max((counted + 2) * bucket.window / slots, bucket.closed - now)
  redis.call('PEXPIRE', bucket.key, number(math.ceil(life)))
end

-- How many stand in the line before `member`, and how many places they wait for who have no patience left. Those are
-- passed by by nobody: a batch that needs all places would else wait for ever behind those who need one.
local function before(line, standing, member)
  for _, away in ipairs(redis.call('ZRANGEBYSCORE', standing, '-inf', number(now))) do
    redis.call('ZREM', line, away)
    redis.call('ZREM', standing, away)
  end
  local count, units = 0, 0
  local others = redis.call('ZRANGE', line, 0, -1, 'WITHSCORES')
  for i = 1, #others, 2 do
    if others[i] == member then break end
    count = count + 1
    if now - tonumber(others[i + 1]) >= PATIENCE then units = units + tonumber(string.match(others[i], ':(%d+)$')) end
  end
  return count, units
end

local asks, places, longest, busy, behind = {}, {}, 0, false, 0
for i = 1, (#KEYS - 1) / 3 do
  local limit, window, units = tonumber(ARGV[5 * i]), tonumber(ARGV[5 * i + 1]), tonumber(ARGV[5 * i + 2])
  local ask = {sharer = ARGV[5 * i + 3], waiting = KEYS[3 * i], units = units, wait = 0}
  if ARGV[5 * i + 4] ~= '' then
    local place = {key = KEYS[3 * i - 1], line = KEYS[3 * i], standing = KEYS[3 * i + 1],
                   lease = ARGV[5 * i + 4], units = units, life = window}
    place.member = place.lease .. ':' .. number(units)
    redis.call('ZREMRANGEBYSCORE', place.key, '-inf', number(now))
    for _, taken in ipairs(redis.call('ZRANGEBYSCORE', place.key, '(' .. number(now + window), '+inf')) do
      -- The clock was set back: count it as taken just now.
      redis.call('ZADD', place.key, number(now + window), taken)
    end
    for place_number = 1, units do
      -- Whoever asks holds nothing yet: that was taken for an ask whose reply was lost, and is asked again.
      redis.call('ZREM', place.key, place.lease .. ':' .. place_number)
    end
    local count, wanted = before(place.line, place.standing, place.member)
    busy = busy or redis.call('ZCARD', place.key) + wanted + units > limit
    behind = math.max(behind, count)
    places[#places + 1] = place
  else
    ask.bucket = read(KEYS[3 * i - 1], window)
    ask.wait = wait_for(ask.bucket, units, limit)
  end
  if ask.sharer ~= '' and ask.bucket then
    -- While others wait, nobody holds more than an equal part; a single request that is larger passes alone.
    ask.own = read(KEYS[3 * i + 1], window)
    redis.call('ZREMRANGEBYSCORE', ask.waiting, '-inf', number(now))
    local others = redis.call('ZCARD', ask.waiting)
    if redis.call('ZSCORE', ask.waiting, ask.sharer) then others = others - 1 end
    if others > 0 and not ask.own.fresh then
      local part = math.max(math.floor(limit / (others + 1)), units)
      ask.wait = math.max(ask.wait, wait_for(ask.own, units, part))
    end
  end
  longest = math.max(longest, ask.wait)
  if ask.bucket then asks[#asks + 1] = ask end
end
if longest <= 0 and busy then
  for _, place in ipairs(places) do
    redis.call('ZADD', place.line, 'NX', number(now), place.member)
    redis.call('ZADD', place.standing, number(now + STANDS), place.member)
    redis.call('PEXPIRE', place.line, 2 * STANDS)
    redis.call('PEXPIRE', place.standing, 2 * STANDS)
  end
  return {'busy', number(behind)}
end

for _, ask in ipairs(asks) do
  if longest <= 0 then
    spend(ask.bucket, ask.units)
    if ask.own then
      spend(ask.own, ask.units)
      redis.call('ZREM', ask.waiting, ask.sharer)
    end
  elseif ask.sharer ~= '' and ask.wait > 0 then
    local window = ask.bucket.window
    redis.call('ZADD', ask.waiting, number(now + window), ask.sharer)
    redis.call('PEXPIRE', ask.waiting, number(2 * window))
  end
end
for _, taken in ipairs(places) do
  redis.call('ZREM', taken.line, taken.member)
  redis.call('ZREM', taken.standing, taken.member)
  if longest <= 0 then
    for place = 1, taken.units do
      redis.call('ZADD', taken.key, number(now + taken.life), taken.lease .. ':' .. place)
    end
    redis.call('PEXPIRE', taken.key, number(taken.life))
  end
end
if longest > 0 then return {'wait', number(math.ceil(longest))} end
return {'taken'}

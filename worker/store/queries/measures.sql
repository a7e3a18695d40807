-- name: held
-- What we hold of a slice of days, in the order of its key.
SELECT campaign_id, day, campaign_name, cost_micros, impressions, clicks, conversions, conversion_value, time_zone,
       currency, account_id, hold_id, kept
FROM crm_sync.measure
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND stream = %(stream)s AND part_key = %(part)s
  AND day BETWEEN %(first)s AND %(last)s
ORDER BY day, campaign_id;

-- name: save
-- Writes new and restated rows, sorted by key so that two writers cannot lock each other out. What waited to be deleted,
-- or was kept by a person's word, is an ordinary row again.
INSERT INTO crm_sync.measure AS m
    (workspace_id, connection_id, stream, part_key, day, campaign_id, connector, account_id, campaign_name, time_zone,
     currency, cost_micros, impressions, clicks, conversions, conversion_value, expires_at, rule)
SELECT %(workspace)s, %(connection)s, %(stream)s, %(part)s, page.day, page.campaign_id, c.provider, %(account)s,
       page.campaign_name, %(time_zone)s, %(currency)s, page.cost_micros, page.impressions, page.clicks,
       page.conversions, page.conversion_value, (page.day + %(age)s::interval) AT TIME ZONE 'UTC', %(rule)s::text
FROM crm_sync.connection c
CROSS JOIN unnest(%(days)s::date[], %(campaigns)s::text[], %(names)s::text[], %(costs)s::bigint[],
                  %(impressions)s::bigint[], %(clicks)s::bigint[], %(conversions)s::numeric[], %(values)s::numeric[])
    AS page (day, campaign_id, campaign_name, cost_micros, impressions, clicks, conversions, conversion_value)
WHERE c.workspace_id = %(workspace)s AND c.connection_id = %(connection)s
ON CONFLICT (workspace_id, connection_id, stream, part_key, day, campaign_id) DO UPDATE
SET account_id = excluded.account_id, campaign_name = excluded.campaign_name, time_zone = excluded.time_zone,
    currency = excluded.currency, cost_micros = excluded.cost_micros, impressions = excluded.impressions,
    clicks = excluded.clicks, conversions = excluded.conversions, conversion_value = excluded.conversion_value,
    hold_id = NULL, kept = false, updated_at = now(), expires_at = excluded.expires_at, rule = excluded.rule;

-- name: delete
DELETE FROM crm_sync.measure m
USING unnest(%(campaigns)s::text[], %(days)s::date[]) AS gone (campaign_id, day)
WHERE m.workspace_id = %(workspace)s AND m.connection_id = %(connection)s AND m.stream = %(stream)s
  AND m.part_key = %(part)s AND m.day = gone.day AND m.campaign_id = gone.campaign_id;

-- name: mark
-- Rows that are shown no more wait in a hold, or are kept; rows that are shown again do neither.
UPDATE crm_sync.measure m SET hold_id = %(hold)s::bigint, kept = %(kept)s
FROM unnest(%(campaigns)s::text[], %(days)s::date[]) AS marked (campaign_id, day)
WHERE m.workspace_id = %(workspace)s AND m.connection_id = %(connection)s AND m.stream = %(stream)s
  AND m.part_key = %(part)s AND m.day = marked.day AND m.campaign_id = marked.campaign_id;

-- name: note_account
-- The account was read in these days; they add to those that were read before.
INSERT INTO crm_sync.measured_account AS a
    (workspace_id, connection_id, stream, part_key, connector, account_id, account_name, time_zone, currency, first_day,
     last_day)
SELECT %(workspace)s, %(connection)s, %(stream)s, %(part)s, c.provider, %(account)s, %(account_name)s, %(time_zone)s,
       %(currency)s, %(first)s, %(last)s
FROM crm_sync.connection c
WHERE c.workspace_id = %(workspace)s AND c.connection_id = %(connection)s
ON CONFLICT (workspace_id, connection_id, stream, part_key) DO UPDATE
SET account_id = excluded.account_id, account_name = excluded.account_name, time_zone = excluded.time_zone,
    currency = excluded.currency, first_day = least(a.first_day, excluded.first_day),
    last_day = greatest(a.last_day, excluded.last_day), read_at = now();

-- name: forget_account
DELETE FROM crm_sync.measured_account
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND stream = %(stream)s AND part_key = %(part)s;

-- name: count
-- How many rows a part holds, and how many of them neither wait in a hold nor were kept by a person's word.
SELECT count(*) AS total, count(*) FILTER (WHERE hold_id IS NULL AND NOT kept) AS free
FROM crm_sync.measure
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND stream = %(stream)s AND part_key = %(part)s;

-- name: some_free
-- A batch of a part that is gone, oldest first.
SELECT campaign_id, day
FROM crm_sync.measure
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND stream = %(stream)s AND part_key = %(part)s
  AND hold_id IS NULL AND NOT kept
ORDER BY day, campaign_id
LIMIT %(limit)s;

-- name: of_hold
-- A batch of what waits in a hold.
SELECT campaign_id, day
FROM crm_sync.measure
WHERE workspace_id = %(workspace)s AND hold_id = %(hold)s
ORDER BY day, campaign_id
LIMIT %(limit)s;

-- name: account_of
SELECT account_id
FROM crm_sync.measured_account
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND stream = %(stream)s AND part_key = %(part)s;

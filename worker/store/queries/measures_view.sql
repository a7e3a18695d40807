-- name: days
-- A page of campaign days of some connector or days (NULL: of all), each account once, oldest first. The page before it ended
-- with `after_…` (day NULL: there was none), and `first` is that day or a later one, which an index can tell.
SELECT connection_id, connector, account_id, account_name, campaign_id, campaign_name, day, time_zone, currency,
       cost_micros, impressions, clicks, conversions, conversion_value, updated_at
FROM crm_sync.campaign_day
WHERE workspace_id = %(workspace)s
  AND (%(connector)s::text IS NULL OR connector = %(connector)s::text)
  AND (%(first)s::date IS NULL OR day >= %(first)s::date)
  AND (%(last)s::date IS NULL OR day <= %(last)s::date)
  AND (%(after_day)s::date IS NULL OR (day, connector, account_id, campaign_id)
       > (%(after_day)s::date, %(after_connector)s::text, %(after_account)s::text, %(after_campaign)s::text))
ORDER BY day, connector, account_id, campaign_id
LIMIT %(limit)s;

-- name: days_of_connection
-- The same as one connection brought them, whether or not another can see its accounts, too.
SELECT m.connection_id, m.connector, m.account_id, a.account_name, m.campaign_id, m.campaign_name, m.day, m.time_zone,
       m.currency, m.cost_micros, m.impressions, m.clicks, m.conversions, m.conversion_value, m.updated_at
FROM crm_sync.measure m
LEFT JOIN crm_sync.measured_account a USING (workspace_id, connection_id, stream, part_key)
WHERE m.workspace_id = %(workspace)s AND m.connection_id = %(connection)s::uuid
  AND (%(connector)s::text IS NULL OR m.connector = %(connector)s::text)
  AND (%(first)s::date IS NULL OR m.day >= %(first)s::date)
  AND (%(last)s::date IS NULL OR m.day <= %(last)s::date)
  AND (%(after_day)s::date IS NULL OR (m.day, m.connector, m.account_id, m.campaign_id)
       > (%(after_day)s::date, %(after_connector)s::text, %(after_account)s::text, %(after_campaign)s::text))
ORDER BY m.day, m.connector, m.account_id, m.campaign_id
LIMIT %(limit)s;

-- name: accounts
SELECT connection_id, connector, account_id, account_name, time_zone, currency, first_day, last_day, read_at
FROM crm_sync.measured_account
WHERE workspace_id = %(workspace)s AND (%(connection)s::uuid IS NULL OR connection_id = %(connection)s::uuid)
ORDER BY connector, account_id, connection_id;

-- name: spend
-- What was spent on each day in each currency, each account once. Currencies are never added up.
SELECT day, currency, sum(cost_micros)::bigint AS cost_micros, sum(impressions)::bigint AS impressions,
       sum(clicks)::bigint AS clicks, sum(conversions) AS conversions
FROM crm_sync.campaign_day
WHERE workspace_id = %(workspace)s AND day BETWEEN %(first)s AND %(last)s
GROUP BY day, currency
ORDER BY currency, day;

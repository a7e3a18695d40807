-- Rules of retention, and the ends of records that follow from them.

-- name: see_due
-- This transaction writes over, or deletes, what is due, and therefore sees it.
SELECT set_config('crm_sync.sweeping', 'on', true);

-- name: rules
-- The rules for a connection's records: the provider's and, where there is one, the workspace's. `now` is the clock that
-- decides. One row at least, so that the time is known even where there is no rule.
SELECT now() AS now, c.state, c.state_since, p.kind, p.max_age, p.counted_from, p.after_disconnect,
       r.max_age AS own_max_age, r.counted_from AS own_counted_from
FROM crm_sync.connection c
LEFT JOIN crm_sync.policy_rule p ON p.connector = c.provider
LEFT JOIN crm_sync.retention_rule r
    ON r.workspace_id = c.workspace_id AND r.connector = p.connector AND r.kind = p.kind
WHERE c.workspace_id = %(workspace)s AND c.connection_id = %(connection)s;

-- name: forget_policy
-- Nothing, if what was published is of the same or a higher version.
DELETE FROM crm_sync.policy WHERE connector = %(connector)s AND version < %(version)s;

-- name: add_policy
INSERT INTO crm_sync.policy (connector, title, version, digest)
VALUES (%(connector)s, %(title)s, %(version)s, %(digest)s)
ON CONFLICT (connector) DO NOTHING
RETURNING connector;

-- name: published
SELECT version, digest FROM crm_sync.policy WHERE connector = %(connector)s;

-- name: add_policy_rule
INSERT INTO crm_sync.policy_rule
    (connector, kind, max_age, counted_from, after_disconnect, ends_when, why, source, read_on, sure)
VALUES (%(connector)s, %(kind)s, %(max_age)s, %(counted_from)s, %(after_disconnect)s, %(ends_when)s, %(why)s, %(source)s,
        %(read_on)s, %(sure)s);

-- name: batch_to_plan
-- The next records of a connection, in the order of their keys, with when the provider last confirmed each: the end of
-- its part's last pass, but for what waits to be deleted, is kept by a person's word, or could not be read again.
SELECT d.stream, d.document_key, d.kind, d.dated, d.fetched_at, d.expires_at, d.rule, d.renewable,
       greatest(d.fetched_at, CASE WHEN d.pass_id <> -1
           AND (SELECT 1 FROM crm_sync.deletion_hold h JOIN crm_sync.deletion_hold_item i USING (workspace_id, hold_id)
                WHERE h.workspace_id = d.workspace_id AND h.connection_id = d.connection_id AND h.stream = d.stream
                  AND h.state = 'open' AND i.document_key = d.document_key LIMIT 1) IS NULL
           AND (SELECT 1 FROM crm_sync.quarantine q
                WHERE q.workspace_id = d.workspace_id AND q.connection_id = d.connection_id AND q.stream = d.stream
                  AND q.document_key = d.document_key) IS NULL
           THEN p.synced_at END) AS confirmed_at
FROM crm_sync.document d
LEFT JOIN crm_sync.part p ON p.workspace_id = d.workspace_id AND p.connection_id = d.connection_id AND p.stream = d.stream
    AND p.part_key = d.part_key
WHERE d.workspace_id = %(workspace)s AND d.connection_id = %(connection)s
  AND (d.stream, d.document_key) > (%(stream)s, %(last)b)
ORDER BY d.stream, d.document_key
LIMIT %(limit)s;

-- name: plan
-- Writes the ends of records. What a page wrote since it was read is left as that page has it.
UPDATE crm_sync.document d
SET fetched_at = planned.confirmed_at, expires_at = planned.expires_at, rule = planned.rule, renewable = planned.renewable
FROM unnest(%(streams)s::text[], %(keys)b::bytea[], %(fetched)s::timestamptz[], %(confirmed)s::timestamptz[],
            %(expires)s::timestamptz[], %(rules)s::text[], %(renewable)s::boolean[])
    AS planned (stream, document_key, fetched_at, confirmed_at, expires_at, rule, renewable)
WHERE d.workspace_id = %(workspace)s AND d.connection_id = %(connection)s AND d.stream = planned.stream
  AND d.document_key = planned.document_key AND d.fetched_at = planned.fetched_at
RETURNING d.stream, d.document_key;

-- name: planned
-- All records of the connection were looked at; when again, if time alone makes it needful.
UPDATE crm_sync.connection SET plan_due_at = clock_timestamp() + %(wait)s::interval * (0.9 + 0.2 * random())
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s;

-- name: due_connection
-- Whose record has been due for longest?
SELECT connection_id FROM crm_sync.document
WHERE workspace_id = %(workspace)s AND expires_at <= statement_timestamp()
ORDER BY expires_at LIMIT 1;

-- name: sweep
-- Deletes a batch of what is due, with its lookups, its places in holds that are open, and what was set aside of it.
WITH due AS (
    SELECT d.stream, d.document_key
    FROM crm_sync.document d
    WHERE d.workspace_id = %(workspace)s AND d.connection_id = %(connection)s AND d.expires_at <= statement_timestamp()
    ORDER BY d.expires_at LIMIT %(limit)s
), gone AS (
    DELETE FROM crm_sync.document d USING due
    WHERE d.workspace_id = %(workspace)s AND d.connection_id = %(connection)s AND d.stream = due.stream
      AND d.document_key = due.document_key AND d.expires_at <= statement_timestamp()
    RETURNING d.stream, d.document_key, d.part_key, d.blind, d.rule, d.renewable
), unindexed AS (
    DELETE FROM crm_sync.blind_index b
    USING gone, generate_series(0, octet_length(gone.blind) / 16 - 1) AS place (n)
    WHERE b.workspace_id = %(workspace)s AND b.value = substr(gone.blind, place.n * 16 + 1, 16)
      AND b.connection_id = %(connection)s AND b.stream = gone.stream AND b.document_key = gone.document_key
), unheld AS (
    DELETE FROM crm_sync.deletion_hold_item i USING gone, crm_sync.deletion_hold h
    WHERE h.workspace_id = %(workspace)s AND h.connection_id = %(connection)s AND h.stream = gone.stream
      AND h.state = 'open' AND i.workspace_id = h.workspace_id AND i.hold_id = h.hold_id
      AND i.document_key = gone.document_key
), released AS (
    DELETE FROM crm_sync.quarantine q USING gone
    WHERE q.workspace_id = %(workspace)s AND q.connection_id = %(connection)s AND q.stream = gone.stream
      AND q.document_key = gone.document_key
)
SELECT stream, document_key, part_key, rule, renewable FROM gone ORDER BY stream, document_key;

-- name: reread
-- What went may still be at the provider and would live on, were it shown: the next run reads these parts in full.
UPDATE crm_sync.part p SET reread = true
FROM unnest(%(streams)s::text[], %(parts)b::bytea[]) AS part (stream, part_key)
WHERE p.workspace_id = %(workspace)s AND p.connection_id = %(connection)s AND p.stream = part.stream
  AND p.part_key = part.part_key AND NOT p.reread;

-- name: plan_measures
-- A batch of days whose ends are not yet what the rules say. They count from their day.
UPDATE crm_sync.measure m SET expires_at = due.expires_at, rule = due.rule
FROM (
    SELECT d.stream, d.part_key, d.day, d.campaign_id, ends.expires_at,
           CASE WHEN ends.expires_at IS NULL THEN NULL WHEN ends.expires_at = %(ended)s::timestamptz THEN 'disconnect'
                ELSE %(rule)s::text END AS rule
    FROM crm_sync.measure d,
         LATERAL (SELECT least((d.day + %(age)s::interval) AT TIME ZONE 'UTC', %(ended)s::timestamptz) AS expires_at) ends
    WHERE d.workspace_id = %(workspace)s AND d.connection_id = %(connection)s AND d.expires_at IS DISTINCT FROM ends.expires_at
    LIMIT %(limit)s
) AS due
WHERE m.workspace_id = %(workspace)s AND m.connection_id = %(connection)s AND m.stream = due.stream
  AND m.part_key = due.part_key AND m.day = due.day AND m.campaign_id = due.campaign_id;

-- name: due_measures
-- Whose day has been due for longest?
SELECT connection_id FROM crm_sync.measure
WHERE workspace_id = %(workspace)s AND expires_at <= statement_timestamp()
ORDER BY expires_at LIMIT 1;

-- name: sweep_measures
-- Deletes a batch of days that are due, and says what of each account went. Before them nobody knows what happened.
WITH due AS (
    SELECT m.stream, m.part_key, m.day, m.campaign_id
    FROM crm_sync.measure m
    WHERE m.workspace_id = %(workspace)s AND m.connection_id = %(connection)s AND m.expires_at <= statement_timestamp()
    ORDER BY m.expires_at LIMIT %(limit)s
), gone AS (
    DELETE FROM crm_sync.measure m USING due
    WHERE m.workspace_id = %(workspace)s AND m.connection_id = %(connection)s AND m.stream = due.stream
      AND m.part_key = due.part_key AND m.day = due.day AND m.campaign_id = due.campaign_id
    RETURNING m.stream, m.part_key, m.account_id, m.day
), summed AS (
    SELECT stream, part_key, account_id, min(day) AS first, max(day) AS last, count(*) AS days
    FROM gone GROUP BY stream, part_key, account_id
), known AS (
    UPDATE crm_sync.measured_account a SET first_day = summed.last + 1 FROM summed
    WHERE a.workspace_id = %(workspace)s AND a.connection_id = %(connection)s AND a.stream = summed.stream
      AND a.part_key = summed.part_key AND a.first_day <= summed.last
)
SELECT stream, account_id, first, last, days FROM summed ORDER BY stream, account_id;

-- name: count_due
-- How much is due and waits for its sweep, by kind; needs `see_due`. It counts and shows nothing.
SELECT c.provider AS connector, due.kind, sum(due.records)::bigint AS due
FROM (
    SELECT connection_id, kind, count(*) AS records FROM crm_sync.document
    WHERE workspace_id = %(workspace)s AND expires_at <= statement_timestamp() GROUP BY connection_id, kind
    UNION ALL
    SELECT connection_id, 'campaign_day', count(*) FROM crm_sync.measure
    WHERE workspace_id = %(workspace)s AND expires_at <= statement_timestamp() GROUP BY connection_id
) AS due
JOIN crm_sync.connection c ON c.workspace_id = %(workspace)s AND c.connection_id = due.connection_id
GROUP BY c.provider, due.kind;

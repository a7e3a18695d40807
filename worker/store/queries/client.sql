-- name: enqueue
SELECT crm_sync.enqueue(kind => %(kind)s, workspace => %(workspace)s, args => %(args)s::jsonb, sealed => %(sealed)s::bytea,
                        idempotency_key => %(idempotency_key)s::text, run_at => %(run_at)s::timestamptz) AS job_id;

-- name: intake_key
SELECT key_id, public_key FROM crm_sync.intake_key();

-- name: register_workspace
INSERT INTO crm_sync.workspace (workspace_id, default_region)
VALUES (%(workspace)s, %(region)s)
ON CONFLICT (workspace_id) DO NOTHING
RETURNING workspace_id;

-- name: workspace
SELECT workspace_id, default_region, created_at FROM crm_sync.workspace WHERE workspace_id = %(workspace)s;

-- name: workspaces
-- For the owner's login only: no other sees more than one.
SELECT w.workspace_id, w.default_region, w.created_at, coalesce(h.position, 0) AS feed_position,
       (SELECT count(*) FROM crm_sync.connection c
        WHERE c.workspace_id = w.workspace_id AND c.state NOT IN ('disconnected', 'deleting')) AS connections
FROM crm_sync.workspace w
LEFT JOIN crm_sync.feed_head h USING (workspace_id)
ORDER BY w.workspace_id;

-- name: job
SELECT job_id, kind, lane, state, connection_id, args, run_at, attempt, deliveries, requests, last_request_at, progress,
       outcome, sealed_outcome, reason, message, created_at, started_at, finished_at
FROM crm_sync.job
WHERE workspace_id = %(workspace)s AND job_id = %(job_id)s;

-- name: jobs
-- The newest jobs, of some states, kinds or one connection (NULL: of all).
SELECT job_id, kind, lane, state, connection_id, args, run_at, attempt, deliveries, requests, last_request_at, progress,
       outcome, sealed_outcome, reason, message, created_at, started_at, finished_at
FROM crm_sync.job
WHERE workspace_id = %(workspace)s
  AND (%(states)s::text[] IS NULL OR state = ANY(%(states)s::text[]))
  AND (%(kind)s::text IS NULL OR kind = %(kind)s::text)
  AND (%(connection)s::uuid IS NULL OR connection_id = %(connection)s::uuid)
ORDER BY job_id DESC
LIMIT %(limit)s;

-- name: retry_job
-- For the worker's login: a job that was given up is asked for again, as if it were new.
UPDATE crm_sync.job
SET state = 'queued', run_at = now(), attempt = 0, deliveries = 0, reason = NULL, message = NULL, outcome = NULL,
    finished_at = NULL, lease_owner = NULL, lease_epoch = lease_epoch + 1
WHERE workspace_id = %(workspace)s AND job_id = %(job_id)s AND state IN ('dead', 'failed')
RETURNING job_id;

-- name: live_twin
-- Another job that is alive under the same unique key, because of which this one cannot be asked for again.
SELECT other.job_id
FROM crm_sync.job j
JOIN crm_sync.job other ON other.workspace_id = j.workspace_id AND other.unique_key = j.unique_key
    AND other.job_id <> j.job_id AND other.state IN ('parked', 'queued', 'admitted', 'running')
WHERE j.workspace_id = %(workspace)s AND j.job_id = %(job_id)s;

-- name: drop_job
-- For the worker's login: a job that was given up is laid to rest; what it carried in secret goes.
UPDATE crm_sync.job
SET state = 'cancelled', reason = 'dropped', sealed = NULL, sealed_outcome = NULL, finished_at = now()
WHERE workspace_id = %(workspace)s AND job_id = %(job_id)s AND state IN ('dead', 'failed')
RETURNING job_id;

-- name: connections
SELECT connection_id, provider, state, state_reason, admin_consent_url, state_since, purposes, scopes, policy_version,
       agreed_by, agreed_at, created_at
FROM crm_sync.connection
WHERE workspace_id = %(workspace)s AND (%(connection)s::uuid IS NULL OR connection_id = %(connection)s::uuid)
ORDER BY created_at, connection_id;

-- name: streams
-- Streams with the sums over their parts. A stream says «synced» only once its first pass is done.
SELECT s.connection_id, s.stream, s.purpose, s.state, s.state_reason, s.next_run_at, s.synced_at,
       count(p.part_key) AS parts, count(p.error_reason) AS failing_parts,
       coalesce(bool_or(p.in_full_pass), false) AS in_full_pass,
       (array_agg(p.error_reason ORDER BY p.error_at DESC) FILTER (WHERE p.error_reason IS NOT NULL))[1] AS error_reason,
       coalesce(sum(p.seen), 0)::bigint AS seen, coalesce(sum(p.saved), 0)::bigint AS saved,
       coalesce(sum(p.unchanged), 0)::bigint AS unchanged, coalesce(sum(p.deleted), 0)::bigint AS deleted,
       coalesce(sum(p.repeated), 0)::bigint AS repeated, coalesce(sum(p.skipped), 0)::bigint AS skipped,
       coalesce(sum(p.refused), 0)::bigint AS refused, coalesce(sum(p.swept), 0)::bigint AS swept
FROM crm_sync.stream s
LEFT JOIN crm_sync.part p
    ON p.workspace_id = s.workspace_id AND p.connection_id = s.connection_id AND p.stream = s.stream
WHERE s.workspace_id = %(workspace)s AND (%(connection)s::uuid IS NULL OR s.connection_id = %(connection)s::uuid)
GROUP BY s.workspace_id, s.connection_id, s.stream
ORDER BY s.connection_id, s.stream;

-- name: held_documents
-- How many records a stream holds now.
SELECT connection_id, stream, kind, count(*) AS held
FROM crm_sync.document
WHERE workspace_id = %(workspace)s AND (%(connection)s::uuid IS NULL OR connection_id = %(connection)s::uuid)
GROUP BY connection_id, stream, kind
UNION ALL
SELECT connection_id, stream, 'campaign_day', count(*)
FROM crm_sync.measure
WHERE workspace_id = %(workspace)s AND (%(connection)s::uuid IS NULL OR connection_id = %(connection)s::uuid)
GROUP BY connection_id, stream
ORDER BY connection_id, stream, kind;

-- name: feed
-- Every change after a position, in order, with the record as it is now where one is still held.
SELECT e.position, e.at, e.event, e.connection_id, e.stream, e.document_key, e.details,
       d.kind, d.sealed, d.updated_at, d.expires_at
FROM crm_sync.feed_entry e
LEFT JOIN crm_sync.document d
    ON d.workspace_id = e.workspace_id AND d.connection_id = e.connection_id AND d.stream = e.stream
   AND d.document_key = e.document_key AND %(with_documents)s
WHERE e.workspace_id = %(workspace)s AND e.position > %(after)s
ORDER BY e.position
LIMIT %(limit)s;

-- name: feed_head
-- The last position, and the one up to which entries were swept.
SELECT coalesce(max(position), 0) AS position, coalesce(max(kept_after), 0) AS kept_after
FROM crm_sync.feed_head WHERE workspace_id = %(workspace)s;

-- name: feed_news
SELECT workspace_id, read_position, head, kept_after FROM crm_sync.feed_news(%(reader)s);

-- name: acknowledge
-- A reader's position moves forward only, and not past what there is.
INSERT INTO crm_sync.feed_reader AS r (reader, workspace_id, position)
SELECT %(reader)s, h.workspace_id, %(position)s
FROM crm_sync.feed_head h
WHERE h.workspace_id = %(workspace)s AND h.position >= %(position)s
ON CONFLICT (reader, workspace_id) DO UPDATE
SET position = greatest(r.position, excluded.position), read_at = now()
RETURNING position;

-- name: reader
SELECT coalesce(max(position), 0) AS position
FROM crm_sync.feed_reader
WHERE reader = %(reader)s AND workspace_id = %(workspace)s;

-- name: document
SELECT connection_id, stream, document_key, kind, sealed, updated_at, expires_at
FROM crm_sync.document
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND stream = %(stream)s
  AND document_key = %(document_key)s;

-- name: documents_after
-- A page of all records, in the order of their keys.
SELECT connection_id, stream, document_key, kind, sealed, updated_at, expires_at
FROM crm_sync.document
WHERE workspace_id = %(workspace)s
  AND (connection_id, stream, document_key) > (%(connection)s::uuid, %(stream)s::text, %(document_key)s::bytea)
ORDER BY connection_id, stream, document_key
LIMIT %(limit)s;

-- name: find_documents
-- The records that name a person, by the lookup values of an address or a number.
SELECT d.connection_id, d.stream, d.document_key, d.kind, d.sealed, d.updated_at, d.expires_at
FROM crm_sync.document d
JOIN (
    SELECT DISTINCT b.connection_id, b.stream, b.document_key
    FROM crm_sync.blind_index b
    WHERE b.workspace_id = %(workspace)s AND b.value = ANY(%(values)b::bytea[])
) AS hit USING (connection_id, stream, document_key)
WHERE d.workspace_id = %(workspace)s
ORDER BY d.connection_id, d.stream, d.updated_at DESC, d.document_key
LIMIT %(limit)s;

-- name: holds
SELECT h.hold_id, h.connection_id, h.stream, h.state, h.part_total, h.opened_at, h.applies_at, h.decided_at, h.decided_by,
       (SELECT count(*) FROM crm_sync.deletion_hold_item i
        WHERE i.workspace_id = h.workspace_id AND i.hold_id = h.hold_id)
       + (SELECT count(*) FROM crm_sync.measure m
          WHERE m.workspace_id = h.workspace_id AND m.hold_id = h.hold_id) AS waiting
FROM crm_sync.deletion_hold h
WHERE h.workspace_id = %(workspace)s AND (%(all)s OR h.state = 'open')
ORDER BY h.hold_id;

-- name: receipts
SELECT receipt_id, connection_id, kind, at, body
FROM crm_sync.receipt
WHERE workspace_id = %(workspace)s AND (%(connection)s::uuid IS NULL OR connection_id = %(connection)s::uuid)
ORDER BY at, receipt_id;

-- name: processes
-- For the worker's login: who works, and how long ago each was heard of.
SELECT process_id, pool, lanes, threads, host, pid, started_at, stopping,
       extract(epoch FROM clock_timestamp() - beat_at)::float8 AS silent_s
FROM crm_sync.process
ORDER BY pool, started_at;

-- name: own_rules
-- What the workspace asks for, beside what the provider's policy says.
SELECT r.connector, r.kind, r.max_age, r.counted_from, p.max_age AS policy_max_age, p.counted_from AS policy_counted_from,
       r.set_by, r.set_at
FROM crm_sync.retention_rule r
LEFT JOIN crm_sync.policy_rule p USING (connector, kind)
WHERE r.workspace_id = %(workspace)s
ORDER BY r.connector, r.kind;

-- name: set_rule
INSERT INTO crm_sync.retention_rule AS r (workspace_id, connector, kind, max_age, counted_from, set_by)
VALUES (%(workspace)s, %(connector)s, %(kind)s, %(max_age)s, %(counted_from)s, %(by)s)
ON CONFLICT (workspace_id, connector, kind) DO UPDATE
SET max_age = excluded.max_age, counted_from = excluded.counted_from, set_by = excluded.set_by, set_at = now();

-- name: unset_rule
DELETE FROM crm_sync.retention_rule
WHERE workspace_id = %(workspace)s AND connector = %(connector)s AND kind = %(kind)s;

-- name: retention_report
-- What is held, by kind and by the rule that ends it.
SELECT c.provider AS connector, held.kind, held.rule, sum(held.records)::bigint AS held, min(held.oldest) AS oldest,
       min(held.next_end) AS next_end, p.max_age AS policy_max_age, p.counted_from AS policy_counted_from,
       r.max_age AS own_max_age, p.source, p.read_on, p.sure
FROM (
    SELECT connection_id, kind, rule, count(*) AS records, min(created_at) AS oldest, min(expires_at) AS next_end
    FROM crm_sync.document WHERE workspace_id = %(workspace)s GROUP BY connection_id, kind, rule
    UNION ALL
    SELECT connection_id, 'campaign_day', rule, count(*), min(created_at), min(expires_at)
    FROM crm_sync.measure WHERE workspace_id = %(workspace)s GROUP BY connection_id, rule
) AS held
JOIN crm_sync.connection c ON c.workspace_id = %(workspace)s AND c.connection_id = held.connection_id
LEFT JOIN crm_sync.policy_rule p ON p.connector = c.provider AND p.kind = held.kind
LEFT JOIN crm_sync.retention_rule r ON r.workspace_id = %(workspace)s AND r.connector = c.provider AND r.kind = held.kind
GROUP BY c.provider, held.kind, held.rule, p.connector, p.kind, r.max_age
ORDER BY c.provider, held.kind, held.rule;

-- name: why
-- All that explains why a record is still here; of its content nothing.
SELECT d.connection_id, d.stream, d.kind, d.created_at, d.fetched_at, d.dated, d.expires_at, d.rule, c.provider, c.state,
       c.state_since, s.purpose, c.policy_version, c.agreed_at, p.max_age, p.counted_from, p.after_disconnect, p.why,
       p.source, p.read_on, p.sure, r.max_age AS own_max_age, r.counted_from AS own_counted_from, r.set_by, r.set_at,
       (SELECT min(h.applies_at) FROM crm_sync.deletion_hold h JOIN crm_sync.deletion_hold_item i USING (workspace_id, hold_id)
        WHERE h.workspace_id = d.workspace_id AND h.connection_id = d.connection_id AND h.stream = d.stream
          AND h.state = 'open' AND i.document_key = d.document_key) AS goes_unless_kept_at
FROM crm_sync.stream s
JOIN crm_sync.connection c ON c.workspace_id = s.workspace_id AND c.connection_id = s.connection_id
JOIN crm_sync.document d ON d.workspace_id = s.workspace_id AND d.connection_id = s.connection_id AND d.stream = s.stream
    AND d.document_key = %(document_key)s
LEFT JOIN crm_sync.policy_rule p ON p.connector = c.provider AND p.kind = d.kind
LEFT JOIN crm_sync.retention_rule r ON r.workspace_id = d.workspace_id AND r.connector = c.provider AND r.kind = d.kind
WHERE s.workspace_id = %(workspace)s;

-- name: last_heard_of
-- What the feed said last of a key that is not there, or under which other key it went on.
SELECT at, event, connection_id, stream, encode(document_key, 'hex') AS key, details
FROM crm_sync.feed_entry
WHERE workspace_id = %(workspace)s
  AND (document_key = %(document_key)s OR details ->> 'previous_key' = encode(%(document_key)s, 'hex'))
ORDER BY position DESC LIMIT 1;

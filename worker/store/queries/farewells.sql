-- name: holds_tokens
SELECT sealed_tokens IS NOT NULL AS held
FROM crm_sync.oauth_grant
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s;

-- name: forget_tokens
DELETE FROM crm_sync.oauth_grant
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s;

-- name: forget_requests
DELETE FROM crm_sync.consent_request
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s;

-- name: sweep
-- This transaction deletes, and may see what is due for it.
SELECT set_config('crm_sync.sweeping', 'on', true);

-- name: purge_documents
-- A slice of a connection's documents, with the rows by which people in them could be found.
WITH gone AS (
    DELETE FROM crm_sync.document d
    USING (SELECT stream, document_key FROM crm_sync.document
           WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s
           ORDER BY stream, document_key LIMIT %(limit)s) AS slice
    WHERE d.workspace_id = %(workspace)s AND d.connection_id = %(connection)s
      AND d.stream = slice.stream AND d.document_key = slice.document_key
    RETURNING d.stream, d.document_key, d.blind
), unindexed AS (
    DELETE FROM crm_sync.blind_index b
    USING gone, generate_series(0, octet_length(gone.blind) / 16 - 1) AS place (n)
    WHERE b.workspace_id = %(workspace)s AND b.value = substr(gone.blind, place.n * 16 + 1, 16)
      AND b.connection_id = %(connection)s AND b.stream = gone.stream AND b.document_key = gone.document_key
    RETURNING 1
)
SELECT (SELECT count(*) FROM gone) AS documents, (SELECT count(*) FROM unindexed) AS lookups;

-- name: purge_measures
-- A slice of a connection's measures.
DELETE FROM crm_sync.measure m
USING (SELECT stream, part_key, day, campaign_id FROM crm_sync.measure
       WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s
       ORDER BY stream, part_key, day, campaign_id LIMIT %(limit)s) AS slice
WHERE m.workspace_id = %(workspace)s AND m.connection_id = %(connection)s AND m.stream = slice.stream
  AND m.part_key = slice.part_key AND m.day = slice.day AND m.campaign_id = slice.campaign_id;

-- name: purge_accounts
DELETE FROM crm_sync.measured_account WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s;

-- name: purge_seen
DELETE FROM crm_sync.pass_seen p
USING (SELECT stream, part_key, pass_id, document_key FROM crm_sync.pass_seen
       WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s LIMIT %(limit)s) AS slice
WHERE p.workspace_id = %(workspace)s AND p.connection_id = %(connection)s AND p.stream = slice.stream
  AND p.part_key = slice.part_key AND p.pass_id = slice.pass_id AND p.document_key = slice.document_key;

-- name: purge_quarantine
DELETE FROM crm_sync.quarantine WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s;

-- name: purge_holds
DELETE FROM crm_sync.deletion_hold WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s;

-- name: purge_streams
-- Their parts, with cursors and counters, go with them.
DELETE FROM crm_sync.stream WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s RETURNING stream;

-- name: blank_jobs
-- Jobs stay as a history of what was asked and when; what they carried sealed goes.
UPDATE crm_sync.job SET sealed = NULL, sealed_outcome = NULL
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s
  AND (sealed IS NOT NULL OR sealed_outcome IS NOT NULL);

-- name: add_receipt
INSERT INTO crm_sync.receipt (workspace_id, connection_id, kind, body)
VALUES (%(workspace)s, %(connection)s, %(kind)s, %(body)s::jsonb)
RETURNING receipt_id, at;

-- name: receipt_since
-- What an end is proved by that began then; an older one is of an end from which the connection came back.
SELECT receipt_id, body
FROM crm_sync.receipt
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND kind = %(kind)s AND at >= %(since)s
ORDER BY at DESC LIMIT 1;

-- name: become_tombstone
-- What stays of a connection whose data was deleted: that it was, for what, and who agreed when; nothing of the account.
UPDATE crm_sync.connection
SET state = 'disconnected', state_reason = 'purged', state_since = now(), account_mac = NULL, scopes = '{}'
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND state = 'deleting';

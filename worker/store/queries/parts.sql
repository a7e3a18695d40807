-- name: lock_connection
-- The first statement of a page's transaction (P1): while it is held, no stop can commit; after a stop, it finds nothing.
SELECT state FROM crm_sync.connection
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND epoch = %(epoch)s
FOR SHARE;

-- name: read_connection
SELECT c.provider, c.state, c.state_reason, c.epoch, c.purposes, c.scopes, c.account_mac, w.default_region
FROM crm_sync.connection c JOIN crm_sync.workspace w USING (workspace_id)
WHERE c.workspace_id = %(workspace)s AND c.connection_id = %(connection)s;

-- name: read_stream
SELECT state, purpose, every, lane, synced_at
FROM crm_sync.stream
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND stream = %(stream)s;

-- name: want_full_pass
-- Somebody asked for all of it: parts that were to be left alone are asked for, too.
UPDATE crm_sync.part SET sealed_cursor = NULL, in_full_pass = false, sweeping = false, rests_until = NULL
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND stream = %(stream)s;

-- name: stream_synced
-- A run reached its end: the stream is planned anew, with jitter, and leaves the backfill lane.
UPDATE crm_sync.stream
SET synced_at = now(), lane = 'sync',
    next_run_at = now() + every * (0.75 + 0.5 * random())
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND stream = %(stream)s;

-- name: stream_lacks_scope
UPDATE crm_sync.stream SET state = 'missing_scope', state_reason = %(reason)s, next_run_at = NULL
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND stream = %(stream)s AND state = 'active';

-- name: list_parts
SELECT p.part_key, p.sealed_key, p.sealed_cursor, p.page_number, p.pass_id, p.in_full_pass, p.sweeping, p.normaliser,
       p.full_pass_at, p.synced_at, p.error_reason, p.reread, h.hold_id,
       CASE WHEN p.rests_until > now() THEN p.rests_until - now() END AS rests_for,
       EXISTS (SELECT 1 FROM crm_sync.quarantine q
               WHERE q.workspace_id = p.workspace_id AND q.connection_id = p.connection_id AND q.stream = p.stream
                 AND q.part_key = p.part_key) AS set_aside
FROM crm_sync.part p
LEFT JOIN crm_sync.deletion_hold h
    ON h.workspace_id = p.workspace_id AND h.connection_id = p.connection_id AND h.stream = p.stream
   AND h.part_key = p.part_key AND h.state = 'open'
WHERE p.workspace_id = %(workspace)s AND p.connection_id = %(connection)s AND p.stream = %(stream)s;

-- name: add_part
INSERT INTO crm_sync.part (workspace_id, connection_id, stream, part_key, sealed_key)
VALUES (%(workspace)s, %(connection)s, %(stream)s, %(part)s, %(sealed_key)s)
ON CONFLICT DO NOTHING;

-- name: remove_part
-- With what of it was set aside, since nobody will ever show that again.
WITH set_aside AS (
    DELETE FROM crm_sync.quarantine
    WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND stream = %(stream)s AND part_key = %(part)s
)
DELETE FROM crm_sync.part
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND stream = %(stream)s AND part_key = %(part)s;

-- name: begin_pass
UPDATE crm_sync.part
SET sealed_cursor = NULL, pass_id = pass_id + 1, in_full_pass = true, sweeping = false, normaliser = %(normaliser)s,
    normalised_by = CASE WHEN normaliser = %(normaliser)s THEN normalised_by ELSE pass_id + 1 END, reread = false
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND stream = %(stream)s AND part_key = %(part)s
  AND page_number = %(page_number)s
RETURNING pass_id;

-- name: turn_page
-- Moves the cursor; the page names the number it follows, so that a cursor never goes back.
UPDATE crm_sync.part
SET sealed_cursor = %(cursor)s, page_number = page_number + 1, sweeping = %(sweeping)s,
    error_reason = NULL, error_at = NULL, rests_until = NULL,
    seen = seen + %(seen)s, saved = saved + %(saved)s, unchanged = unchanged + %(unchanged)s,
    deleted = deleted + %(deleted)s, repeated = repeated + %(repeated)s, skipped = skipped + %(skipped)s,
    refused = refused + %(refused)s, synced_at = CASE WHEN %(last)s THEN now() ELSE synced_at END
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND stream = %(stream)s AND part_key = %(part)s
  AND page_number = %(page_number)s
RETURNING page_number;

-- name: count_documents
SELECT count(*) AS total
FROM crm_sync.document
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND stream = %(stream)s AND part_key = %(part)s;

-- name: begin_sweep
UPDATE crm_sync.part SET sweeping = true
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND stream = %(stream)s AND part_key = %(part)s;

-- name: count_swept
UPDATE crm_sync.part SET swept = swept + %(swept)s
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND stream = %(stream)s AND part_key = %(part)s;

-- name: count_refused
UPDATE crm_sync.part SET seen = seen + %(refused)s, refused = refused + %(refused)s
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND stream = %(stream)s AND part_key = %(part)s;

-- name: end_pass
UPDATE crm_sync.part
SET in_full_pass = false, sweeping = false, full_pass_at = now(), synced_at = now()
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND stream = %(stream)s AND part_key = %(part)s
  AND pass_id = %(pass)s;

-- name: part_failed
UPDATE crm_sync.part SET error_reason = %(reason)s, error_at = now(), rests_until = now() + %(rest)s::interval
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND stream = %(stream)s AND part_key = %(part)s;

-- name: part_rests
UPDATE crm_sync.part SET rests_until = now() + %(rest)s::interval
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND stream = %(stream)s AND part_key = %(part)s;

-- name: open_hold
-- Joins the part's open hold or opens one.
INSERT INTO crm_sync.deletion_hold AS h (workspace_id, connection_id, stream, part_key, part_total)
VALUES (%(workspace)s, %(connection)s, %(stream)s, %(part)s, %(total)s)
ON CONFLICT (workspace_id, connection_id, stream, part_key) WHERE state = 'open'
DO UPDATE SET part_total = h.part_total
RETURNING h.hold_id;

-- name: hold_items
-- Returns how many are new in the hold. What is new waits its seven days like all that came before it, so the hold's
-- time counts anew.
WITH added AS (
    INSERT INTO crm_sync.deletion_hold_item (workspace_id, hold_id, document_key)
    SELECT %(workspace)s, %(hold)s, item.document_key FROM unnest(%(keys)b::bytea[]) AS item (document_key)
    ON CONFLICT DO NOTHING
    RETURNING 1
), counted AS (
    SELECT count(*) AS added FROM added
), put_off AS (
    UPDATE crm_sync.deletion_hold SET applies_at = now() + interval '7 days'
    WHERE workspace_id = %(workspace)s AND hold_id = %(hold)s AND (SELECT added FROM counted) > 0
)
SELECT added FROM counted;

-- name: put_off_hold
-- Measures were put into the hold, which they name themselves.
UPDATE crm_sync.deletion_hold SET applies_at = now() + interval '7 days'
WHERE workspace_id = %(workspace)s AND hold_id = %(hold)s;

-- name: release_items
-- A record that shows itself again is no longer to be deleted.
DELETE FROM crm_sync.deletion_hold_item
WHERE workspace_id = %(workspace)s AND hold_id = %(hold)s AND document_key = ANY(%(keys)b::bytea[]);

-- name: connection_of_hold
SELECT connection_id FROM crm_sync.deletion_hold WHERE workspace_id = %(workspace)s AND hold_id = %(hold)s;

-- name: lock_hold
SELECT hold_id, connection_id, stream, part_key, state, applies_at
FROM crm_sync.deletion_hold
WHERE workspace_id = %(workspace)s AND hold_id = %(hold)s
FOR UPDATE;

-- name: hold_batch
SELECT document_key FROM crm_sync.deletion_hold_item
WHERE workspace_id = %(workspace)s AND hold_id = %(hold)s
ORDER BY document_key LIMIT %(limit)s;

-- name: drop_items
DELETE FROM crm_sync.deletion_hold_item
WHERE workspace_id = %(workspace)s AND hold_id = %(hold)s AND document_key = ANY(%(keys)b::bytea[]);

-- name: keep_documents
-- A person said that these stay: later sweeps leave them alone.
UPDATE crm_sync.document SET pass_id = -1
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND stream = %(stream)s
  AND document_key = ANY(%(keys)b::bytea[]);

-- name: close_hold
UPDATE crm_sync.deletion_hold SET state = %(state)s, decided_at = now(), decided_by = %(by)s
WHERE workspace_id = %(workspace)s AND hold_id = %(hold)s AND state = 'open';

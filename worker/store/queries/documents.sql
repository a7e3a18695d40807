-- name: held
-- What we hold of the keys on a page, due or not. Locks nothing: one job at a time writes a stream. One probe a key, whatever the
-- planner believes of a table that has only begun to grow.
SELECT held.*
FROM unnest(%(keys)b::bytea[]) AS page (document_key)
CROSS JOIN LATERAL (
    SELECT d.document_key, d.digest, d.blind, d.pass_id, d.part_key AS part, d.kind, d.dated, d.fetched_at, d.expires_at, d.renewable
    FROM crm_sync.document d
    WHERE d.workspace_id = %(workspace)s AND d.connection_id = %(connection)s AND d.stream = %(stream)s
      AND d.document_key = page.document_key
    LIMIT 1
) AS held;

-- name: known
-- Which of these keys do we hold in this part, in the normal form of its present normaliser? What moved here and was
-- not shown here yet is to be read anew, as is what an older normaliser wrote.
SELECT held.document_key
FROM crm_sync.part p
CROSS JOIN unnest(%(keys)b::bytea[]) AS page (document_key)
CROSS JOIN LATERAL (
    SELECT d.document_key
    FROM crm_sync.document d
    WHERE d.workspace_id = p.workspace_id AND d.connection_id = p.connection_id AND d.stream = p.stream
      AND d.document_key = page.document_key AND d.part_key = p.part_key AND d.pass_id <> 0
      AND (p.normalised_by <= 1 OR d.pass_id >= p.normalised_by)
    LIMIT 1
) AS held
WHERE p.workspace_id = %(workspace)s AND p.connection_id = %(connection)s AND p.stream = %(stream)s
  AND p.part_key = %(part)s;

-- name: save
-- Writes new and changed documents, sorted by key so that two writers cannot lock each other out.
INSERT INTO crm_sync.document AS d
    (workspace_id, connection_id, stream, document_key, part_key, kind, digest, sealed, blind, pass_id, dated, expires_at,
     rule, renewable)
SELECT %(workspace)s, %(connection)s, %(stream)s, page.document_key, %(part)s, page.kind, page.digest, page.sealed,
       page.blind, %(pass)s, page.dated, page.expires_at, page.rule, page.renewable
FROM unnest(%(keys)b::bytea[], %(kinds)s::text[], %(digests)b::bytea[], %(sealed)b::bytea[], %(blind)b::bytea[],
            %(dated)s::date[], %(expires)s::timestamptz[], %(rules)s::text[], %(renewable)s::boolean[])
    AS page (document_key, kind, digest, sealed, blind, dated, expires_at, rule, renewable)
ON CONFLICT (workspace_id, connection_id, stream, document_key) DO UPDATE
SET part_key = excluded.part_key, kind = excluded.kind, digest = excluded.digest, sealed = excluded.sealed,
    blind = excluded.blind, pass_id = excluded.pass_id, updated_at = now(), fetched_at = now(), dated = excluded.dated,
    expires_at = excluded.expires_at, rule = excluded.rule, renewable = excluded.renewable;

-- name: renew
-- The provider showed records that had not changed: they live on by their rules.
UPDATE crm_sync.document d
SET fetched_at = now(), dated = page.dated, expires_at = page.expires_at, rule = page.rule, renewable = page.renewable
FROM unnest(%(keys)b::bytea[], %(dated)s::date[], %(expires)s::timestamptz[], %(rules)s::text[], %(renewable)s::boolean[])
    AS page (document_key, dated, expires_at, rule, renewable)
WHERE d.workspace_id = %(workspace)s AND d.connection_id = %(connection)s AND d.stream = %(stream)s
  AND d.document_key = page.document_key;

-- name: index_documents
-- Adds the lookup rows of saved documents.
INSERT INTO crm_sync.blind_index (workspace_id, value, connection_id, stream, document_key)
SELECT %(workspace)s, entry.value, %(connection)s, %(stream)s, entry.document_key
FROM unnest(%(values)b::bytea[], %(keys)b::bytea[]) AS entry (value, document_key)
ON CONFLICT DO NOTHING;

-- name: unindex_documents
-- Takes away the lookup rows that a changed document no longer has.
DELETE FROM crm_sync.blind_index b
USING unnest(%(values)b::bytea[], %(keys)b::bytea[]) AS entry (value, document_key)
WHERE b.workspace_id = %(workspace)s AND b.value = entry.value AND b.connection_id = %(connection)s
  AND b.stream = %(stream)s AND b.document_key = entry.document_key;

-- name: delete
-- Deletes documents with their lookup rows and their places in open holds; returns the keys that were there.
WITH gone AS (
    DELETE FROM crm_sync.document d
    WHERE d.workspace_id = %(workspace)s AND d.connection_id = %(connection)s AND d.stream = %(stream)s
      AND d.document_key = ANY(%(keys)b::bytea[]) AND (%(part)s::bytea IS NULL OR d.part_key = %(part)s::bytea)
    RETURNING d.document_key, d.blind
), unindexed AS (
    DELETE FROM crm_sync.blind_index b
    USING gone, generate_series(0, octet_length(gone.blind) / 16 - 1) AS place (n)
    WHERE b.workspace_id = %(workspace)s AND b.value = substr(gone.blind, place.n * 16 + 1, 16) AND b.connection_id = %(connection)s
      AND b.stream = %(stream)s AND b.document_key = gone.document_key
), waits_no_more AS (
    DELETE FROM crm_sync.deletion_hold_item i
    USING gone, crm_sync.deletion_hold h
    WHERE h.workspace_id = %(workspace)s AND h.connection_id = %(connection)s AND h.stream = %(stream)s
      AND h.state = 'open' AND i.workspace_id = h.workspace_id AND i.hold_id = h.hold_id
      AND i.document_key = gone.document_key
)
SELECT document_key FROM gone ORDER BY document_key;

-- name: note_seen
-- Notes what a full pass saw and found unchanged, or could not read.
INSERT INTO crm_sync.pass_seen (workspace_id, connection_id, stream, part_key, pass_id, document_key)
SELECT %(workspace)s, %(connection)s, %(stream)s, %(part)s, %(pass)s, seen.document_key
FROM unnest(%(keys)b::bytea[]) AS seen (document_key)
ON CONFLICT DO NOTHING;

-- name: take_back_word
-- What a person kept is a record like any other once the provider shows it again: its next absence counts.
UPDATE crm_sync.document SET pass_id = %(pass)s
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND stream = %(stream)s
  AND document_key = ANY(%(keys)b::bytea[]) AND pass_id = -1;

-- name: unseen
-- What the pass did not show: the anti-join of its sweep, a batch at a time. Records kept by a person's word, and those
-- that already wait in a hold, are left alone. The subqueries are asked once a row, by index: as joins, in tables that
-- the planner has no statistics of yet, they became the square of the part's size.
SELECT d.document_key
FROM crm_sync.document d
WHERE d.workspace_id = %(workspace)s AND d.connection_id = %(connection)s AND d.stream = %(stream)s
  AND d.part_key = %(part)s AND d.pass_id <> %(pass)s AND d.pass_id <> -1 AND d.document_key > %(after)s
  AND (SELECT 1 FROM crm_sync.pass_seen s
       WHERE s.workspace_id = %(workspace)s AND s.connection_id = %(connection)s AND s.stream = %(stream)s
         AND s.part_key = %(part)s AND s.pass_id = %(pass)s AND s.document_key = d.document_key) IS NULL
  AND (SELECT 1 FROM crm_sync.deletion_hold_item i JOIN crm_sync.deletion_hold h USING (workspace_id, hold_id)
       WHERE i.workspace_id = %(workspace)s AND i.document_key = d.document_key AND h.state = 'open'
         AND h.connection_id = %(connection)s AND h.stream = %(stream)s AND h.part_key = %(part)s LIMIT 1) IS NULL
ORDER BY d.document_key
LIMIT %(limit)s;

-- name: bodies
SELECT d.document_key, d.kind, d.sealed
FROM crm_sync.document d
WHERE d.workspace_id = %(workspace)s AND d.connection_id = %(connection)s AND d.stream = %(stream)s
  AND d.document_key = ANY(%(keys)b::bytea[])
ORDER BY d.document_key;

-- name: move
-- What a part did not show any more is in another one, as the provider says. A person's word on it stays.
UPDATE crm_sync.document d SET part_key = %(part)s, pass_id = LEAST(d.pass_id, 0)
WHERE d.workspace_id = %(workspace)s AND d.connection_id = %(connection)s AND d.stream = %(stream)s
  AND d.document_key = ANY(%(keys)b::bytea[]);

-- name: forget_seen
-- A pass is over, or was given up: its notes go.
DELETE FROM crm_sync.pass_seen
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND stream = %(stream)s AND part_key = %(part)s;

-- name: quarantine
-- Sets records aside; seen again for the same reason, they count up.
INSERT INTO crm_sync.quarantine AS q (workspace_id, connection_id, stream, part_key, document_key, reason, detail)
SELECT %(workspace)s, %(connection)s, %(stream)s, %(part)s, page.document_key, page.reason, page.detail
FROM unnest(%(keys)b::bytea[], %(reasons)s::text[], %(details)s::text[]) AS page (document_key, reason, detail)
ON CONFLICT (workspace_id, connection_id, stream, document_key) DO UPDATE
SET reason = excluded.reason, detail = excluded.detail, last_at = now(),
    times = CASE WHEN q.reason = excluded.reason THEN q.times + 1 ELSE 1 END;

-- name: leave_quarantine
-- A record that can be taken again, or is gone, leaves the quarantine.
DELETE FROM crm_sync.quarantine
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND stream = %(stream)s
  AND document_key = ANY(%(keys)b::bytea[]) AND (%(reason)s::text IS NULL OR reason = %(reason)s::text);

-- name: set_aside_for
-- Records of a part that we hold and that wait in quarantine for one reason. What waits in a hold, or was kept by a person's
-- word, is left alone.
SELECT q.document_key
FROM crm_sync.quarantine q
JOIN crm_sync.document d USING (workspace_id, connection_id, stream, document_key)
WHERE q.workspace_id = %(workspace)s AND q.connection_id = %(connection)s AND q.stream = %(stream)s
  AND q.part_key = %(part)s AND q.reason = %(reason)s AND q.times < %(most_times)s AND d.pass_id <> -1
  AND NOT EXISTS (
      SELECT 1 FROM crm_sync.deletion_hold_item i JOIN crm_sync.deletion_hold h USING (workspace_id, hold_id)
      WHERE i.workspace_id = q.workspace_id AND i.document_key = q.document_key AND h.state = 'open'
        AND h.connection_id = q.connection_id AND h.stream = q.stream)
ORDER BY q.times, q.document_key
LIMIT %(limit)s;

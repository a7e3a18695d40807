-- name: lock_head
-- The workspace's last link, made if there is none yet and locked until the transaction ends: appends stand in line.
INSERT INTO crm_sync.audit_head AS h (workspace_id, seq, hash)
VALUES (%(workspace)s, 0, %(genesis)s)
ON CONFLICT (workspace_id) DO UPDATE SET seq = h.seq
RETURNING h.seq, h.hash, clock_timestamp() AS at;

-- name: append
-- The new link and the head that points to it, in one statement.
WITH link AS (
    INSERT INTO crm_sync.audit (workspace_id, seq, at, actor, action, reason, details, previous_hash, hash)
    VALUES (%(workspace)s, %(seq)s, %(at)s, %(actor)s, %(action)s, %(reason)s, %(details)s::jsonb, %(previous)s, %(hash)s)
), salted AS (
    INSERT INTO crm_sync.audit_salt (workspace_id, seq, salt)
    SELECT %(workspace)s, %(seq)s, %(salt)s::bytea WHERE %(salt)s::bytea IS NOT NULL
)
UPDATE crm_sync.audit_head SET seq = %(seq)s, hash = %(hash)s
WHERE workspace_id = %(workspace)s;

-- name: links
-- The chain from a place on, a batch at a time.
SELECT seq, at, actor, action, reason, details, previous_hash, hash
FROM crm_sync.audit
WHERE workspace_id = %(workspace)s AND seq > %(after)s AND seq <= %(through)s
ORDER BY seq
LIMIT %(limit)s;

-- name: last_links
-- The newest entries, newest first.
SELECT seq, at, actor, action, reason, details, previous_hash, hash
FROM crm_sync.audit
WHERE workspace_id = %(workspace)s
ORDER BY seq DESC
LIMIT %(limit)s;

-- name: head
SELECT seq, hash FROM crm_sync.audit_head WHERE workspace_id = %(workspace)s;

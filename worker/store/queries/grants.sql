-- One connection's tokens, sealed, with the lease and the journal of their refresh. Reached by worker.vault only.

-- name: read_grant
SELECT token_version, sealed_tokens, expires_at, lifetime,
       extract(epoch FROM expires_at - clock_timestamp())::float8 AS left_s
FROM crm_sync.oauth_grant
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s;

-- name: take_lease
-- Whoever gets the lease writes into the journal, before it sends, from which version it starts. What the journal held
-- before comes back: no answer to an attempt from this same version means that a reply was lost.
WITH before AS (
    SELECT token_version, attempt_version, attempt_id, attempt_answer
    FROM crm_sync.oauth_grant
    WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND token_version = %(version)s
      AND (lease_until IS NULL OR lease_until < clock_timestamp())
    FOR UPDATE
)
UPDATE crm_sync.oauth_grant AS g
SET lease_owner = %(owner)s, lease_epoch = g.lease_epoch + 1, lease_until = clock_timestamp() + %(lease)s,
    attempt_id = %(attempt)s, attempt_version = g.token_version, attempt_at = clock_timestamp(), attempt_answer = NULL
FROM before
WHERE g.workspace_id = %(workspace)s AND g.connection_id = %(connection)s
RETURNING g.lease_epoch,
          before.attempt_id IS NOT NULL AND before.attempt_answer IS NULL
              AND before.attempt_version = before.token_version AS reply_was_lost;

-- name: note_answer
-- What came of an attempt that gave no tokens; the lease is free again. With no answer, nobody knows.
UPDATE crm_sync.oauth_grant
SET attempt_answer = %(answer)s, lease_owner = NULL, lease_until = NULL
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND lease_epoch = %(lease_epoch)s
  AND token_version = %(version)s;

-- name: store_renewed
-- The next version takes the place of the one that the attempt began from, and of no other.
UPDATE crm_sync.oauth_grant
SET sealed_tokens = %(sealed)s, token_version = token_version + 1,
    lifetime = %(lifetime)s, expires_at = attempt_at + %(lifetime)s,
    refresh_expires_at = coalesce(attempt_at + %(refresh_lifetime)s, refresh_expires_at),
    refreshed_at = clock_timestamp(), lease_owner = NULL, lease_until = NULL, attempt_answer = 'renewed'
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND lease_epoch = %(lease_epoch)s
  AND token_version = %(version)s;

-- name: lock_grant
SELECT token_version, sealed_tokens
FROM crm_sync.oauth_grant
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s
FOR UPDATE;

-- name: store_first
-- The tokens of a consent; they outdo whatever was there, and the lease of a refresh that is under way.
INSERT INTO crm_sync.oauth_grant AS g
    (workspace_id, connection_id, token_version, sealed_tokens, lifetime, expires_at, refresh_expires_at)
VALUES (%(workspace)s, %(connection)s, %(version)s, %(sealed)s, %(lifetime)s, clock_timestamp() + %(lifetime)s,
        clock_timestamp() + %(refresh_lifetime)s)
ON CONFLICT (workspace_id, connection_id) DO UPDATE
SET token_version = excluded.token_version, sealed_tokens = excluded.sealed_tokens, lifetime = excluded.lifetime,
    expires_at = excluded.expires_at, refresh_expires_at = excluded.refresh_expires_at, refreshed_at = clock_timestamp(),
    lease_owner = NULL, lease_until = NULL, lease_epoch = g.lease_epoch + 1,
    attempt_id = NULL, attempt_version = NULL, attempt_at = NULL, attempt_answer = NULL;

-- name: add_request
-- Asked anew (its job was killed half way), the same request gets a fresh state and verifier.
INSERT INTO crm_sync.consent_request AS r
    (workspace_id, request_id, connection_id, epoch, state_mac, sealed_verifier, purposes, scopes, policy_version,
     agreed_by, redirect_uri, expires_at)
VALUES (%(workspace)s, %(request)s, %(connection)s, %(epoch)s, %(state_mac)s, %(sealed_verifier)s, %(purposes)s,
        %(scopes)s, %(policy_version)s, %(agreed_by)s, %(redirect_uri)s, now() + %(life)s)
ON CONFLICT (workspace_id, request_id) DO UPDATE
SET epoch = excluded.epoch, state_mac = excluded.state_mac, sealed_verifier = excluded.sealed_verifier,
    expires_at = excluded.expires_at
WHERE r.used_at IS NULL
RETURNING expires_at;

-- name: lock_request
SELECT request_id, connection_id, epoch, sealed_verifier, purposes, scopes, policy_version, agreed_by, redirect_uri,
       expires_at <= now() AS expired, used_at
FROM crm_sync.consent_request
WHERE workspace_id = %(workspace)s AND state_mac = %(state_mac)s
FOR UPDATE;

-- name: use_request
UPDATE crm_sync.consent_request SET used_at = now()
WHERE workspace_id = %(workspace)s AND request_id = %(request)s AND used_at IS NULL;

-- name: adopt_job
-- A job that was asked for by `state` alone learns whose it is, so that a stop sees it and its gate knows the epoch.
UPDATE crm_sync.job SET connection_id = %(connection)s
WHERE workspace_id = %(workspace)s AND job_id = %(job)s;

-- name: drop_old_requests
-- Requests are kept a day past their end, so that a late or repeated answer is told what it is.
DELETE FROM crm_sync.consent_request
WHERE workspace_id = %(workspace)s AND expires_at < now() - interval '1 day';

-- name: never_consented
-- Connections that nobody consented to in time.
SELECT c.connection_id
FROM crm_sync.connection c
WHERE c.workspace_id = %(workspace)s AND c.state = 'connecting' AND c.created_at < now() - interval '1 day'
  AND NOT EXISTS (SELECT FROM crm_sync.consent_request r
                  WHERE r.workspace_id = c.workspace_id AND r.connection_id = c.connection_id AND r.expires_at > now())
LIMIT 20;

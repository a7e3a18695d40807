-- name: add_sibling
INSERT INTO crm_sync.sibling (account_mac, workspace_id, connection_id)
VALUES (%(account_mac)s, %(workspace)s, %(connection)s)
ON CONFLICT (account_mac, workspace_id, connection_id) DO UPDATE SET consented_at = now(), revoking_at = NULL;

-- name: lock_siblings
-- Locked while counted, in one order: of two last ones that go at the same time, the second sees that the first has left.
SELECT workspace_id, connection_id, revoking_at, consented_at
FROM crm_sync.sibling
WHERE account_mac = %(account_mac)s
ORDER BY workspace_id, connection_id
FOR UPDATE;

-- name: mark_revoking
UPDATE crm_sync.sibling SET revoking_at = now()
WHERE account_mac = %(account_mac)s AND workspace_id = %(workspace)s AND connection_id = %(connection)s;

-- name: remove_sibling
DELETE FROM crm_sync.sibling
WHERE account_mac = %(account_mac)s AND workspace_id = %(workspace)s AND connection_id = %(connection)s
RETURNING connection_id;

-- name: holder_of_account
-- The connection of this workspace that an account is linked by at present, if any.
SELECT connection_id
FROM crm_sync.connection
WHERE workspace_id = %(workspace)s AND provider = %(provider)s AND account_mac = %(account_mac)s
  AND connection_id <> %(connection)s AND state NOT IN ('disconnected', 'deleting');

-- name: lock_account
-- Two consents for one account in one workspace wait for each other, so that the second sees what the first did.
SELECT pg_advisory_xact_lock(hashtextextended(%(workspace)s || ':' || encode(%(account_mac)s, 'hex'), 0));

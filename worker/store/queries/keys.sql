-- Wrapped data keys, and the public half of the intake key. Reached by worker.vault only.

-- name: keys_of_connection
-- Every data key of a connection and purpose: the one that seals, those that only open, those that were shredded.
SELECT key_id, purpose, keyring, kek_id, wrapped, retired_at IS NULL AND shredded_at IS NULL AS in_use
FROM crm_sync.data_key
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND purpose = ANY(%(purposes)s);

-- name: keys_of_workspace
-- Likewise those of a workspace as a whole, or, with an empty workspace, of the deployment.
SELECT key_id, purpose, keyring, kek_id, wrapped, retired_at IS NULL AND shredded_at IS NULL AS in_use
FROM crm_sync.data_key
WHERE workspace_id = %(workspace)s AND connection_id IS NULL AND purpose = ANY(%(purposes)s);

-- name: add_key
-- A new data key, unless one is in use already: whoever comes second adopts the first one's.
INSERT INTO crm_sync.data_key (key_id, workspace_id, connection_id, purpose, keyring, kek_id, wrapped, public_key)
VALUES (%(key_id)s, %(workspace)s, %(connection)s, %(purpose)s, %(keyring)s, %(kek_id)s, %(wrapped)s, %(public_key)s)
ON CONFLICT (workspace_id, connection_id, purpose) WHERE retired_at IS NULL AND shredded_at IS NULL DO NOTHING;

-- name: reserve_seals
-- Counts seals before they are made; no row means that the key has sealed as often as it may.
UPDATE crm_sync.data_key SET seals = seals + %(count)s
WHERE workspace_id = %(workspace)s AND key_id = %(key_id)s AND shredded_at IS NULL AND seals + %(count)s <= %(limit)s
RETURNING seals;

-- name: retire_key
-- The key opens from now on, but seals no more.
UPDATE crm_sync.data_key SET retired_at = now()
WHERE workspace_id = %(workspace)s AND key_id = %(key_id)s AND retired_at IS NULL AND shredded_at IS NULL;

-- name: shred_keys
-- Destroys data keys of a connection; what they sealed is gone for good.
UPDATE crm_sync.data_key SET wrapped = NULL, shredded_at = now()
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND purpose = ANY(%(purposes)s)
  AND shredded_at IS NULL;

-- name: intake_public_half
-- The public half that stands beside the private one in use.
SELECT key_id, public_key FROM crm_sync.data_key
WHERE workspace_id = '' AND connection_id IS NULL AND purpose = 'intake' AND retired_at IS NULL AND shredded_at IS NULL;

-- name: publish_intake
-- Shows the CRM the public half to seal to.
INSERT INTO crm_sync.intake (key_id, public_key) VALUES (%(key_id)s, %(public_key)s) ON CONFLICT (key_id) DO NOTHING;

-- name: retire_other_intake
-- No other public half is to be used any more.
UPDATE crm_sync.intake SET retired_at = now() WHERE key_id <> %(key_id)s AND retired_at IS NULL;

-- name: count_by_kek
-- How many data keys each key-encryption key still wraps. Needs a login that sees every workspace (the owner).
SELECT keyring, kek_id, count(*) AS data_keys
FROM crm_sync.data_key WHERE wrapped IS NOT NULL
GROUP BY keyring, kek_id ORDER BY keyring, kek_id;

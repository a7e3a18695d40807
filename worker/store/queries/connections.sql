-- name: create
-- A connection before anybody has consented; its purposes are written once they have.
INSERT INTO crm_sync.connection (workspace_id, connection_id, provider, policy_version, agreed_by)
VALUES (%(workspace)s, %(connection)s, %(provider)s, %(policy_version)s, %(agreed_by)s)
ON CONFLICT (workspace_id, connection_id) DO NOTHING
RETURNING connection_id;

-- name: read
SELECT connection_id, provider, state, state_reason, state_since, epoch, account_mac, purposes, scopes,
       policy_version, agreed_by, agreed_at, created_at
FROM crm_sync.connection
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s;

-- name: lock
-- The first statement of every transaction that changes a connection: it waits for the pages that are being committed.
SELECT connection_id, provider, state, state_reason, state_since, epoch, account_mac, purposes, scopes,
       policy_version, agreed_by, agreed_at, created_at
FROM crm_sync.connection
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s
FOR NO KEY UPDATE;

-- name: list
SELECT connection_id, provider, state, state_reason, state_since, epoch, account_mac, purposes, scopes,
       policy_version, agreed_by, agreed_at, created_at
FROM crm_sync.connection
WHERE workspace_id = %(workspace)s
ORDER BY created_at, connection_id;

-- name: activate
UPDATE crm_sync.connection
SET state = 'active', state_reason = NULL, admin_consent_url = NULL,
    state_since = CASE WHEN state = 'active' THEN state_since ELSE now() END,
    account_mac = %(account_mac)s, purposes = %(purposes)s, scopes = %(scopes)s,
    policy_version = %(policy_version)s, agreed_by = %(agreed_by)s, agreed_at = now(), plan_due_at = now()
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s;

-- name: stop
-- From here on no gate opens and no page commits for what began before. Some rules count from a disconnect.
UPDATE crm_sync.connection
SET state = %(state)s, state_reason = %(reason)s, admin_consent_url = %(admin_consent_url)s, state_since = now(),
    epoch = epoch + 1, plan_due_at = now()
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s
RETURNING epoch;

-- name: cancel_jobs
-- What has not begun will not; what is sealed in it is of no more use.
UPDATE crm_sync.job
SET state = 'cancelled', reason = %(reason)s, message = %(message)s, finished_at = now(), sealed = NULL
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND kind = ANY (%(kinds)s)
  AND state IN ('parked', 'queued', 'admitted')
RETURNING job_id;

-- name: forget_repetitions
-- A running job that was asked for once more meanwhile does not come back after the stop.
UPDATE crm_sync.job SET again = false
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND kind = ANY (%(kinds)s)
  AND state = 'running' AND again;

-- name: still_running
SELECT count(*) AS jobs
FROM crm_sync.job
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND state = 'running' AND job_id <> %(job)s;

-- name: last_request
-- By jobs that are kept, and by those that were swept: one statement, so that a sweep meanwhile counts nothing twice.
SELECT coalesce(sum(requests), 0)::bigint AS requests, max(last_request_at) AS last_request_at
FROM (SELECT requests, last_request_at FROM crm_sync.job
      WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND kind <> ALL (%(farewells)s)
      UNION ALL
      SELECT requests, last_request_at FROM crm_sync.past_requests
      WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s) AS every_job;

-- name: set_alarm
-- An active connection that an error of ours holds up says so, and stays active.
UPDATE crm_sync.connection SET state_reason = %(reason)s
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND state = 'active'
  AND state_reason IS DISTINCT FROM %(reason)s
RETURNING connection_id;

-- name: clear_alarm
UPDATE crm_sync.connection SET state_reason = NULL
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND state = 'active' AND state_reason IS NOT NULL
RETURNING connection_id;

-- name: read_streams
SELECT stream, state, purpose, next_run_at
FROM crm_sync.stream
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s
ORDER BY stream
FOR NO KEY UPDATE;

-- name: put_streams
-- A stream that is switched on is due at once; one that runs already keeps its plan.
INSERT INTO crm_sync.stream AS s (workspace_id, connection_id, stream, purpose, state, state_reason, every, next_run_at)
SELECT %(workspace)s, %(connection)s, plan.stream, plan.purpose, plan.state, plan.reason, plan.every,
       CASE WHEN plan.state = 'active' THEN now() END
FROM unnest(%(streams)s::text[], %(purposes)s::text[], %(states)s::text[], %(reasons)s::text[], %(everys)s::interval[])
    AS plan (stream, purpose, state, reason, every)
ON CONFLICT (workspace_id, connection_id, stream) DO UPDATE
SET purpose = excluded.purpose, every = excluded.every, state = excluded.state, state_reason = excluded.state_reason,
    next_run_at = CASE WHEN excluded.state <> 'active' THEN NULL
                       WHEN s.state = 'active' AND NOT %(restart)s THEN s.next_run_at
                       ELSE now() END;

-- name: stream_lacks_scope
UPDATE crm_sync.stream SET state = 'missing_scope', state_reason = %(reason)s, next_run_at = NULL
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND stream = %(stream)s AND state = 'active'
RETURNING stream;

-- name: ask_for_purge
-- The work that deletes what is held; one that lives already is joined.
INSERT INTO crm_sync.job AS j (workspace_id, kind, lane, connection_id, args, unique_key)
VALUES (%(workspace)s, 'purge_connection', 'privacy', %(connection)s,
        jsonb_build_object('connection_id', %(connection)s::uuid), 'purge_connection:' || %(connection)s::uuid)
ON CONFLICT (workspace_id, unique_key)
    WHERE unique_key IS NOT NULL AND state IN ('parked', 'queued', 'admitted', 'running')
DO UPDATE SET run_at = least(j.run_at, excluded.run_at)
RETURNING j.job_id;

-- name: being_ended
-- Whether a disconnect or a purge of the connection is asked for or under way.
SELECT EXISTS (SELECT FROM crm_sync.job
               WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND kind = ANY (%(farewells)s)
                 AND state IN ('parked', 'queued', 'admitted', 'running')) AS ending;

-- What the scheduler asks and writes, across workspaces: ids, states and times, never a tenant's data.

-- name: look
-- Parked jobs whose time has come are due from now on. Then for each lane: is anything due, and how many rings wait for
-- a thread? One exchange, since this is asked many times a second; two index probes a lane.
WITH due AS (
    SELECT workspace_id, job_id FROM crm_sync.job
    WHERE state = 'parked' AND run_at <= clock_timestamp()
    ORDER BY run_at LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), woken AS (
    UPDATE crm_sync.job AS j SET state = 'queued'
    FROM due WHERE j.workspace_id = due.workspace_id AND j.job_id = due.job_id
    RETURNING j.lane
)
SELECT l.lane,
       EXISTS (SELECT FROM woken WHERE woken.lane = l.lane)
       OR EXISTS (SELECT FROM crm_sync.job j WHERE j.lane = l.lane AND j.state = 'queued') AS due,
       (SELECT count(*) FROM crm_sync.job j WHERE j.lane = l.lane AND j.state = 'admitted') AS waiting
FROM unnest(%(lanes)s::text[]) AS l (lane);

-- name: waiting
-- How many rings of a lane wait for a thread.
SELECT count(*) AS waiting FROM crm_sync.job WHERE lane = %(lane)s AND state = 'admitted';

-- name: threads
-- How many threads serve each lane in processes that live.
SELECT lane, sum(threads)::bigint AS threads
FROM crm_sync.process, unnest(lanes) AS lane
WHERE beat_at > clock_timestamp() - %(lease)s AND NOT stopping
GROUP BY lane;

-- name: lock_lane
-- One replica at a time admits in a lane; the lock goes with the transaction.
SELECT pg_try_advisory_xact_lock(%(class)s, %(number)s) AS ours;

-- name: admit
-- Admits up to `room` jobs of a lane: the workspaces that were served longest ago come first, and share alike. The
-- workspaces are found by skipping from one to the next in the index, however many jobs each of them has. Nobody is
-- waited for: a job that a transaction of the CRM has joined and not committed yet comes with the next tick.
WITH RECURSIVE waiting AS (
    (SELECT j.workspace_id FROM crm_sync.job j
     WHERE j.lane = %(lane)s AND j.state = 'queued' ORDER BY j.workspace_id LIMIT 1)
    UNION ALL
    SELECT (SELECT j.workspace_id FROM crm_sync.job j
            WHERE j.lane = %(lane)s AND j.state = 'queued' AND j.workspace_id > w.workspace_id
            ORDER BY j.workspace_id LIMIT 1)
    FROM waiting w WHERE w.workspace_id IS NOT NULL
), turn AS (
    SELECT w.workspace_id, row_number() OVER (ORDER BY s.served_at NULLS FIRST, w.workspace_id) AS place
    FROM waiting w
    LEFT JOIN crm_sync.served s ON s.lane = %(lane)s AND s.workspace_id = w.workspace_id
    WHERE w.workspace_id IS NOT NULL
    ORDER BY place LIMIT %(room)s
), chosen AS (
    SELECT own.workspace_id, own.job_id
    FROM turn, LATERAL (
        SELECT j.workspace_id, j.job_id, row_number() OVER (ORDER BY j.run_at, j.job_id) AS round
        FROM (SELECT q.workspace_id, q.job_id, q.run_at FROM crm_sync.job q
              WHERE q.lane = %(lane)s AND q.state = 'queued' AND q.workspace_id = turn.workspace_id
              ORDER BY q.run_at, q.job_id LIMIT %(room)s) AS j
    ) AS own
    ORDER BY own.round, turn.place LIMIT %(room)s
), free AS (
    SELECT j.workspace_id, j.job_id
    FROM chosen JOIN crm_sync.job j ON j.workspace_id = chosen.workspace_id AND j.job_id = chosen.job_id
    WHERE j.state = 'queued'
    FOR UPDATE OF j SKIP LOCKED
), admitted AS (
    UPDATE crm_sync.job AS j
    SET state = 'admitted', admitted_at = clock_timestamp(), rung_at = clock_timestamp()
    FROM free
    WHERE j.workspace_id = free.workspace_id AND j.job_id = free.job_id
    RETURNING j.workspace_id, j.job_id
), noted AS (
    INSERT INTO crm_sync.served AS s (lane, workspace_id, served_at)
    SELECT %(lane)s, workspace_id, clock_timestamp() FROM admitted GROUP BY workspace_id
    ON CONFLICT (lane, workspace_id) DO UPDATE SET served_at = excluded.served_at
)
SELECT workspace_id, job_id FROM admitted ORDER BY job_id;

-- name: take_from_dead
-- Jobs whose owner has not beaten for the lease's length, or that ran past their deadline, are due again. Their
-- deliveries stay counted: a job that kills its process is not begun for ever. One that is locked has its turn later.
WITH lost AS (
    SELECT r.workspace_id, r.job_id FROM crm_sync.job r
    WHERE r.state = 'running'
      AND (r.deadline_at < clock_timestamp()
           OR NOT EXISTS (SELECT FROM crm_sync.process p
                          WHERE p.process_id = r.lease_owner AND p.beat_at > clock_timestamp() - %(lease)s))
    FOR UPDATE OF r SKIP LOCKED
)
UPDATE crm_sync.job AS j
SET state = 'queued', lease_epoch = j.lease_epoch + 1, lease_owner = NULL, deadline_at = NULL,
    run_at = clock_timestamp()
FROM lost WHERE j.workspace_id = lost.workspace_id AND j.job_id = lost.job_id
RETURNING j.workspace_id, j.job_id, j.deliveries;

-- name: ring_again
-- Admitted some time ago and not claimed: either all threads are busy, or the ring was lost.
WITH late AS (
    SELECT workspace_id, job_id FROM crm_sync.job
    WHERE state = 'admitted' AND lane = %(lane)s AND rung_at < clock_timestamp() - %(patience)s
    ORDER BY rung_at LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
UPDATE crm_sync.job AS j SET rung_at = clock_timestamp()
FROM late WHERE j.workspace_id = late.workspace_id AND j.job_id = late.job_id
RETURNING j.workspace_id, j.job_id;

-- name: bury
-- Rows of processes that are long dead and own nothing any more.
DELETE FROM crm_sync.process AS p
WHERE p.beat_at < clock_timestamp() - %(long_dead)s
  AND NOT EXISTS (SELECT FROM crm_sync.job j WHERE j.state = 'running' AND j.lease_owner = p.process_id);

-- name: due_streams
-- Streams that are due, with the state of their connection.
SELECT s.workspace_id, s.connection_id, s.stream, s.lane, s.every, c.state = 'active' AS may_run
FROM crm_sync.stream s
JOIN crm_sync.connection c ON c.workspace_id = s.workspace_id AND c.connection_id = s.connection_id
WHERE s.state = 'active' AND s.next_run_at <= clock_timestamp()
ORDER BY s.next_run_at LIMIT %(limit)s
FOR UPDATE OF s SKIP LOCKED;

-- name: plan_job
-- A job of planned work; one that lives already is enough.
INSERT INTO crm_sync.job (workspace_id, kind, lane, connection_id, args, unique_key, run_at)
VALUES (%(workspace)s, %(kind)s, %(lane)s, %(connection)s, %(args)s, %(unique_key)s, clock_timestamp())
ON CONFLICT (workspace_id, unique_key)
    WHERE unique_key IS NOT NULL AND state IN ('parked', 'queued', 'admitted', 'running') DO NOTHING;

-- name: plan_stream
-- When the stream is due next; NULL while its connection cannot run.
UPDATE crm_sync.stream SET next_run_at = clock_timestamp() + %(wait)s::interval
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s AND stream = %(stream)s;

-- name: idle_grants
-- Grants that nobody has used for so long that the provider would soon drop them.
SELECT g.workspace_id, g.connection_id
FROM crm_sync.oauth_grant g
JOIN crm_sync.connection c ON c.workspace_id = g.workspace_id AND c.connection_id = g.connection_id
WHERE c.state = 'active' AND g.refreshed_at < clock_timestamp() - %(idle)s
  AND NOT EXISTS (SELECT FROM crm_sync.job j
                  WHERE j.workspace_id = g.workspace_id AND j.connection_id = g.connection_id
                    AND j.kind = 'refresh_grant' AND j.created_at > clock_timestamp() - interval '1 day')
LIMIT %(limit)s;

-- name: overdue_holds
-- Holds on deletions that nobody answered in their time; one whose job came to nothing is planned again in an hour.
UPDATE crm_sync.deletion_hold AS h SET planned_at = clock_timestamp()
FROM (
    SELECT workspace_id, hold_id FROM crm_sync.deletion_hold
    WHERE state = 'open' AND applies_at <= clock_timestamp()
      AND (planned_at IS NULL OR planned_at < clock_timestamp() - interval '1 hour')
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
) AS overdue
WHERE h.workspace_id = overdue.workspace_id AND h.hold_id = overdue.hold_id
RETURNING h.workspace_id, h.hold_id, h.connection_id;

-- name: policies_to_plan
-- Policies that were published and whose connections have not been told yet.
SELECT connector FROM crm_sync.policy WHERE NOT planned ORDER BY connector;

-- name: plan_connections_of
-- The records of every connection to a provider are looked at again. A job that lives reads the new rules at its end.
INSERT INTO crm_sync.job (workspace_id, kind, lane, args, unique_key, run_at)
SELECT workspace_id, 'plan_retention', 'upkeep', jsonb_build_object('connection', connection_id),
       'plan_retention:' || connection_id, clock_timestamp()
FROM crm_sync.connection
WHERE provider = %(connector)s AND state <> 'deleting'
ON CONFLICT (workspace_id, unique_key)
    WHERE unique_key IS NOT NULL AND state IN ('parked', 'queued', 'admitted', 'running') DO NOTHING;

-- name: policy_planned
UPDATE crm_sync.policy SET planned = true WHERE connector = %(connector)s;

-- name: due_plans
-- Connections whose records' ends are to be reckoned anew, since a rule changed or because time went by.
SELECT workspace_id, connection_id FROM crm_sync.connection
WHERE plan_due_at <= clock_timestamp()
ORDER BY plan_due_at LIMIT %(limit)s
FOR NO KEY UPDATE SKIP LOCKED;

-- name: put_off_plan
-- Until the job has done its work and says when again; should it never, it is asked for once more.
UPDATE crm_sync.connection SET plan_due_at = clock_timestamp() + %(wait)s
WHERE workspace_id = %(workspace)s AND connection_id = %(connection)s;

-- name: workspaces_with_due_records
-- Whose records are due? The oldest first; a workspace with very many does not hide the others for long.
SELECT DISTINCT workspace_id
FROM ((SELECT workspace_id FROM crm_sync.document
       WHERE expires_at <= statement_timestamp() ORDER BY expires_at LIMIT %(limit)s)
      UNION ALL
      (SELECT workspace_id FROM crm_sync.measure
       WHERE expires_at <= statement_timestamp() ORDER BY expires_at LIMIT %(limit)s)) AS due;

-- name: due_upkeep
-- Workspaces whose own rows are to be tidied; each again in a day or so.
UPDATE crm_sync.workspace w SET upkeep_due_at = clock_timestamp() + interval '1 day' * (0.75 + 0.5 * random())
FROM (SELECT workspace_id FROM crm_sync.workspace WHERE upkeep_due_at <= clock_timestamp()
      ORDER BY upkeep_due_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED) AS due
WHERE w.workspace_id = due.workspace_id
RETURNING w.workspace_id;

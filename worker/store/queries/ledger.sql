-- The ledger as a worker sees it: claim a job that was admitted, hold to it, finish it. One workspace at a time.

-- name: claim
-- An admitted job becomes ours. The delivery is counted before any handler runs, so that a job which kills its
-- process is parked for good at its sixth delivery in a row without an outcome. A job's deadline depends on its kind.
UPDATE crm_sync.job AS j SET
    state = CASE WHEN j.deliveries >= %(most_deliveries)s THEN 'dead' ELSE 'running' END,
    reason = CASE WHEN j.deliveries >= %(most_deliveries)s THEN 'crash_loop' END,
    message = CASE WHEN j.deliveries >= %(most_deliveries)s
        THEN 'The job was begun ' || j.deliveries || ' times in a row and never came to an end: it ends its process, or '
             'runs past its deadline.' END,
    finished_at = CASE WHEN j.deliveries >= %(most_deliveries)s THEN clock_timestamp() END,
    lease_epoch = j.lease_epoch + 1,
    lease_owner = CASE WHEN j.deliveries >= %(most_deliveries)s THEN NULL ELSE %(process_id)s::uuid END,
    deliveries = CASE WHEN j.deliveries >= %(most_deliveries)s THEN j.deliveries ELSE j.deliveries + 1 END,
    started_at = clock_timestamp(),
    deadline_at = clock_timestamp() + make_interval(secs => coalesce((%(deadlines_s)s::jsonb ->> j.kind)::float8, 60))
WHERE j.workspace_id = %(workspace)s AND j.job_id = %(job_id)s AND j.state = 'admitted'
RETURNING j.state, j.kind, j.lane, j.connection_id, j.args, j.sealed, j.attempt, j.lease_epoch, j.progress;

-- name: finish
-- The end of a run, whatever it is, if the lease is still ours. Somebody who waits is told by NOTIFY, in the lanes in
-- which somebody waits.
WITH ended AS (
    UPDATE crm_sync.job AS j SET
        state = CASE WHEN j.again AND %(may_repeat)s THEN 'queued' ELSE %(state)s END,
        again = j.again AND NOT %(may_repeat)s,
        args = CASE WHEN j.again AND %(may_repeat)s THEN coalesce(j.again_args, j.args) ELSE j.args END,
        again_args = CASE WHEN NOT %(may_repeat)s THEN j.again_args END,
        run_at = CASE WHEN %(state)s = 'queued' OR (j.again AND %(may_repeat)s) THEN clock_timestamp()
                      ELSE coalesce(clock_timestamp() + %(wait)s::interval, j.run_at) END,
        not_before = CASE WHEN %(named)s THEN clock_timestamp() + %(wait)s::interval END,
        attempt = CASE %(attempt)s WHEN 'counts' THEN j.attempt + 1 WHEN 'resets' THEN 0 ELSE j.attempt END,
        deliveries = 0,
        lease_owner = NULL,
        deadline_at = NULL,
        -- Asked for once more, it begins afresh: notes of the finished run would make the next one skip its parts.
        progress = CASE WHEN j.again AND %(may_repeat)s THEN NULL ELSE coalesce(%(progress)s::jsonb, j.progress) END,
        outcome = coalesce(%(outcome)s::jsonb, j.outcome),
        sealed_outcome = coalesce(%(sealed_outcome)s::bytea, j.sealed_outcome),
        -- What it carried in secret has served its end; one that was given up may be asked for again with it.
        sealed = CASE WHEN %(state)s IN ('done', 'cancelled') AND NOT (j.again AND %(may_repeat)s)
                      THEN NULL ELSE j.sealed END,
        reason = %(reason)s,
        message = %(message)s,
        finished_at = CASE WHEN %(state)s NOT IN ('queued', 'parked') AND NOT (j.again AND %(may_repeat)s)
                           THEN clock_timestamp() END
    WHERE j.workspace_id = %(workspace)s AND j.job_id = %(job_id)s
      AND j.lease_epoch = %(lease_epoch)s AND j.state = 'running'
    RETURNING j.state, j.lane
)
SELECT ended.state,
       CASE WHEN ended.lane = ANY (%(announced)s) AND ended.state NOT IN ('queued', 'parked')
            THEN pg_notify(%(channel)s, %(workspace)s || ':' || %(job_id)s::bigint) END AS told
FROM ended;

-- name: hand_back
-- What this process runs of a job, if anything, goes back without spending an attempt; used when it must stop now, and
-- when it does not know whether its claim was committed. The epoch moves on, so that a thread which still works is fenced.
UPDATE crm_sync.job AS j SET
    state = 'queued', lease_epoch = j.lease_epoch + 1, lease_owner = NULL, deadline_at = NULL, deliveries = 0,
    run_at = clock_timestamp()
WHERE j.workspace_id = %(workspace)s AND j.job_id = %(job_id)s AND j.state = 'running'
  AND j.lease_owner = %(process_id)s AND j.lease_epoch = coalesce(%(lease_epoch)s::bigint, j.lease_epoch);

-- name: fence
-- The last statement of every transaction in which a job writes: it hits one row, or the transaction must not commit.
UPDATE crm_sync.job AS j SET progress = coalesce(%(progress)s::jsonb, j.progress)
WHERE j.workspace_id = %(workspace)s AND j.job_id = %(job_id)s
  AND j.lease_epoch = %(lease_epoch)s AND j.state = 'running';

-- name: pass_gate
-- The connection's row is locked before the job's, in the order of every other transaction that touches both.
UPDATE crm_sync.job AS j SET requests = j.requests + 1, last_request_at = clock_timestamp()
FROM (
    SELECT c.connection_id FROM crm_sync.connection AS c
    WHERE c.workspace_id = %(workspace)s AND c.connection_id = %(connection_id)s AND c.epoch = %(epoch)s
    FOR SHARE
) AS open_connection
WHERE j.workspace_id = %(workspace)s AND j.job_id = %(job_id)s
  AND j.lease_epoch = %(lease_epoch)s AND j.state = 'running';

-- name: pass_gate_unbound
-- The same for a run that works for no connection yet.
UPDATE crm_sync.job AS j SET requests = j.requests + 1, last_request_at = clock_timestamp()
WHERE j.workspace_id = %(workspace)s AND j.job_id = %(job_id)s
  AND j.lease_epoch = %(lease_epoch)s AND j.state = 'running';

-- name: why_shut
-- After a gate that did not open: was it the connection or the lease?
SELECT (SELECT c.epoch FROM crm_sync.connection AS c
        WHERE c.workspace_id = %(workspace)s AND c.connection_id = %(connection_id)s) AS epoch,
       (SELECT true FROM crm_sync.job AS j
        WHERE j.workspace_id = %(workspace)s AND j.job_id = %(job_id)s
          AND j.lease_epoch = %(lease_epoch)s AND j.state = 'running') AS held;

-- name: open_first_book
-- Whether budgets were never booked before in this deployment: whoever comes first gets a row, once and for all.
INSERT INTO crm_sync.deployment_mark (name) VALUES ('budget_book') ON CONFLICT (name) DO NOTHING RETURNING name;

-- name: beat
-- One row a process renews the leases of all its jobs. A row that was swept as dead is written anew: its jobs are gone.
INSERT INTO crm_sync.process AS p (process_id, pool, lanes, threads, host, pid, stopping)
VALUES (%(process_id)s, %(pool)s, %(lanes)s, %(threads)s, %(host)s, %(pid)s, %(stopping)s)
ON CONFLICT (process_id) DO UPDATE SET beat_at = clock_timestamp(), stopping = excluded.stopping;

-- name: leave
-- The process ends and has handed back its jobs.
DELETE FROM crm_sync.process AS p WHERE p.process_id = %(process_id)s;

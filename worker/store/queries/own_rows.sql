-- What of our own rows has served its end. A batch at a time.

-- name: blank_secrets
-- What finished jobs carried or answered under seal: of done ones it was read by now, of others it served for asking again.
UPDATE crm_sync.job j SET sealed = NULL, sealed_outcome = NULL
FROM (
    SELECT job_id FROM crm_sync.job
    WHERE workspace_id = %(workspace)s AND (sealed IS NOT NULL OR sealed_outcome IS NOT NULL)
      AND finished_at < now() - CASE WHEN state IN ('failed', 'dead') THEN %(given_up)s::interval ELSE %(answered)s::interval END
      AND state IN ('done', 'failed', 'dead', 'cancelled')
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
) AS old
WHERE j.workspace_id = %(workspace)s AND j.job_id = old.job_id;

-- name: drop_decided_holds
DELETE FROM crm_sync.deletion_hold h
USING (
    SELECT hold_id FROM crm_sync.deletion_hold
    WHERE workspace_id = %(workspace)s AND state <> 'open' AND decided_at < now() - %(decided)s::interval
    LIMIT %(limit)s
) AS old
WHERE h.workspace_id = %(workspace)s AND h.hold_id = old.hold_id;

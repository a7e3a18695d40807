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

-- name: drop_jobs
-- Finished jobs whose time is over, the oldest first: the primary key's order finds them soon. What they asked of a
-- provider is added up for their connections. A farewell that was given up waits for a person, however long.
WITH old AS (
    SELECT job_id FROM crm_sync.job
    WHERE workspace_id = %(workspace)s AND state IN ('done', 'failed', 'dead', 'cancelled')
      AND finished_at < now() - CASE WHEN state IN ('failed', 'dead') THEN %(given_up)s::interval ELSE %(finished)s::interval END
      AND NOT (state = 'dead' AND kind = ANY (%(farewells)s))
    ORDER BY job_id LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM crm_sync.job j
    WHERE j.workspace_id = %(workspace)s AND j.job_id = ANY (ARRAY(SELECT job_id FROM old))
    RETURNING j.connection_id, j.kind, j.requests, j.last_request_at
), carried AS (
    INSERT INTO crm_sync.past_requests AS p (workspace_id, connection_id, requests, last_request_at)
    SELECT %(workspace)s, connection_id, sum(requests), max(last_request_at) FROM gone
    WHERE connection_id IS NOT NULL AND requests > 0 AND kind <> ALL (%(farewells)s)
    GROUP BY connection_id
    ON CONFLICT (workspace_id, connection_id) DO UPDATE
    SET requests = p.requests + excluded.requests,
        last_request_at = greatest(p.last_request_at, excluded.last_request_at)
)
SELECT count(*) AS jobs FROM gone;

-- name: drop_feed_entries
-- The oldest entries of the feed, in their order, up to the first whose time is not over.
WITH oldest AS (
    SELECT position, at FROM crm_sync.feed_entry
    WHERE workspace_id = %(workspace)s
      AND position > (SELECT kept_after FROM crm_sync.feed_head WHERE workspace_id = %(workspace)s)
    ORDER BY position LIMIT %(limit)s
), due AS (
    SELECT coalesce(min(position) FILTER (WHERE at >= now() - %(kept)s::interval) - 1, max(position)) AS position FROM oldest
)
DELETE FROM crm_sync.feed_entry e USING due
WHERE e.workspace_id = %(workspace)s AND e.position <= due.position
RETURNING e.position;

-- name: note_feed_kept
-- Commits with the deletion, so that whoever meets the gap finds out here that it is one.
UPDATE crm_sync.feed_head SET kept_after = greatest(kept_after, %(position)s) WHERE workspace_id = %(workspace)s;

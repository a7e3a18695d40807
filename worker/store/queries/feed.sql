-- name: append
-- Announces a batch: takes the next positions of the workspace and writes the entries in one statement. The head's row
-- stays locked until the transaction ends, so that positions become visible in their order; call it late.
WITH head AS (
    INSERT INTO crm_sync.feed_head AS h (workspace_id, position)
    VALUES (%(workspace)s, %(count)s)
    ON CONFLICT (workspace_id) DO UPDATE SET position = h.position + excluded.position
    RETURNING h.position
)
INSERT INTO crm_sync.feed_entry (workspace_id, position, event, connection_id, stream, document_key, details)
SELECT %(workspace)s, head.position - %(count)s + entry.n, entry.event, %(connection)s, %(stream)s, entry.document_key,
       entry.details::jsonb
FROM head, unnest(%(events)s::text[], %(keys)b::bytea[], %(details)s::text[])
    WITH ORDINALITY AS entry (event, document_key, details, n);

-- The first schema: the ledger, connections and their grants, documents, the feed, the audit chain.
--
-- Logins (made by `crm-sync migrate --create-logins`, or by your own hand, before this runs):
--   crm_sync_worker     reads and writes one workspace at a time, named by the transaction-local
--                       setting crm_sync.workspace
--   crm_sync_crm        asks for work, reads the feed and the records, one workspace at a time
--   crm_sync_scheduler  sees ids, states and times of all workspaces, and nothing else
-- Whoever runs this file owns the tables; row-level security is forced on the owner too, who has a policy of
-- its own and is used for migrations only.
--
-- In every policy the setting is read inside a sub-select, so that it is evaluated once a statement and not once
-- a row. An empty setting (what Postgres leaves behind after a transaction-local one) is no workspace.

CREATE SCHEMA IF NOT EXISTS crm_sync;
REVOKE ALL ON SCHEMA crm_sync FROM PUBLIC;
GRANT USAGE ON SCHEMA crm_sync TO crm_sync_worker, crm_sync_scheduler, crm_sync_crm;

-- ---------------------------------------------------------------------------------------- workspaces

CREATE TABLE crm_sync.workspace (
    workspace_id   text PRIMARY KEY
        CONSTRAINT workspace_id_is_plain CHECK (workspace_id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$'),
    default_region text NOT NULL DEFAULT 'US' CONSTRAINT region_is_iso CHECK (default_region ~ '^[A-Z]{2}$'),
    created_at     timestamptz NOT NULL DEFAULT now(),
    upkeep_due_at  timestamptz NOT NULL DEFAULT now() + interval '1 day' -- when our own rows in it are tidied next
);
-- Serves the planner.
CREATE INDEX workspace_upkeep_due ON crm_sync.workspace (upkeep_due_at);

-- ------------------------------------------------------------------------------- connections, consent

CREATE TABLE crm_sync.connection (
    workspace_id    text NOT NULL REFERENCES crm_sync.workspace,
    connection_id   uuid NOT NULL DEFAULT gen_random_uuid(),
    provider        text NOT NULL,
    state           text NOT NULL DEFAULT 'connecting'
        CONSTRAINT connection_state_is_known CHECK (state IN
            ('connecting', 'active', 'reconnect_needed', 'blocked_by_admin', 'disconnected', 'deleting')),
    state_reason    text,
    admin_consent_url text,                         -- where an administrator can allow the app; while blocked by one
    state_since     timestamptz NOT NULL DEFAULT now(),
    epoch           bigint NOT NULL DEFAULT 1,      -- moves on at every stop; gates and pages check it
    account_mac     bytea,                          -- HMAC of (provider, project, subject) under the deployment key
    purposes        text[] NOT NULL DEFAULT '{}',
    scopes          text[] NOT NULL DEFAULT '{}',   -- what was granted, not what was asked
    policy_version  text NOT NULL,
    agreed_by       text NOT NULL,                  -- the CRM's id of who agreed; never an address
    agreed_at       timestamptz NOT NULL DEFAULT now(),
    created_at      timestamptz NOT NULL DEFAULT now(),
    plan_due_at     timestamptz,                    -- when its records' ends must be reckoned anew; NULL: not by time
    PRIMARY KEY (workspace_id, connection_id)
);
-- Serves the planner: whose records are to be looked at again?
CREATE INDEX connection_plan_due ON crm_sync.connection (plan_due_at) WHERE plan_due_at IS NOT NULL;
-- One account is connected once to a workspace through one connector.
CREATE UNIQUE INDEX connection_is_one_per_account
    ON crm_sync.connection (workspace_id, provider, account_mac)
    WHERE account_mac IS NOT NULL AND state NOT IN ('disconnected', 'deleting');

-- Grants of one person to one provider project, in any workspace: the one table that names no tenant's secret and
-- is read across workspaces, so that only the last of them to go revokes at the provider.
CREATE TABLE crm_sync.sibling (
    account_mac    bytea NOT NULL,
    workspace_id   text NOT NULL,
    connection_id  uuid NOT NULL,
    consented_at   timestamptz NOT NULL DEFAULT now(),
    revoking_at    timestamptz,                     -- it goes, as the last one, and revokes at the provider
    PRIMARY KEY (account_mac, workspace_id, connection_id)
);

CREATE TABLE crm_sync.consent_request (
    workspace_id    text NOT NULL REFERENCES crm_sync.workspace,
    request_id      uuid NOT NULL DEFAULT gen_random_uuid(),
    connection_id   uuid NOT NULL,
    epoch           bigint NOT NULL,                -- of the connection when it asked: a disconnect since then outweighs it
    state_mac       bytea NOT NULL,                 -- HMAC of the `state` parameter; the parameter itself is not kept
    sealed_verifier bytea NOT NULL,                 -- PKCE verifier, under the grant key
    purposes        text[] NOT NULL,
    scopes          text[] NOT NULL,
    policy_version  text NOT NULL,
    agreed_by       text NOT NULL,
    redirect_uri    text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz NOT NULL,
    used_at         timestamptz,
    PRIMARY KEY (workspace_id, request_id),
    UNIQUE (workspace_id, state_mac),
    FOREIGN KEY (workspace_id, connection_id) REFERENCES crm_sync.connection ON DELETE CASCADE
);

CREATE TABLE crm_sync.oauth_grant (
    workspace_id       text NOT NULL,
    connection_id      uuid NOT NULL,
    token_version      bigint NOT NULL DEFAULT 1,   -- bound into the seal: an old value put back does not open
    sealed_tokens      bytea,                       -- NULL once the grant key is shredded
    lifetime           interval,                    -- of the access token, as the provider last said
    expires_at         timestamptz,                 -- of the access token
    refresh_expires_at timestamptz,                 -- of the refresh token, where the provider says
    refreshed_at       timestamptz NOT NULL DEFAULT now(),
    lease_owner        uuid,                        -- who refreshes now
    lease_epoch        bigint NOT NULL DEFAULT 0,
    lease_until        timestamptz,
    attempt_id         uuid,                        -- the journal of the last refresh: about to send …
    attempt_version    bigint,                      -- … from this token version …
    attempt_at         timestamptz,                 -- … at this time …
    attempt_answer     text,                        -- … and what came back; NULL means that nobody knows
    PRIMARY KEY (workspace_id, connection_id),
    FOREIGN KEY (workspace_id, connection_id) REFERENCES crm_sync.connection ON DELETE CASCADE
);

-- Serves the planner: which grants would die unused?
CREATE INDEX oauth_grant_idle ON crm_sync.oauth_grant (refreshed_at);

-- ----------------------------------------------------------------------------------- wrapped data keys
-- The only table that may live in another database (CRM_SYNC_KEYS_URL), hence no foreign keys.

CREATE TABLE crm_sync.data_key (
    key_id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workspace_id   text NOT NULL,                   -- '' for a key of the deployment
    connection_id  uuid,                            -- NULL for a key of the workspace
    purpose        text NOT NULL CONSTRAINT key_purpose_is_known
        CHECK (purpose IN ('grant', 'records', 'index', 'sibling', 'intake', 'asset')),
    keyring        text NOT NULL CONSTRAINT keyring_is_known CHECK (keyring IN ('grant', 'records')),
    kek_id         text NOT NULL,                   -- which key-encryption key wrapped it
    wrapped        bytea,                           -- NULL once shredded
    public_key     bytea,                           -- for `intake` only
    seals          bigint NOT NULL DEFAULT 0,       -- replaced at 2^31
    created_at     timestamptz NOT NULL DEFAULT now(),
    retired_at     timestamptz,                     -- opens, but seals no more
    shredded_at    timestamptz
);
CREATE UNIQUE INDEX data_key_is_one_in_use ON crm_sync.data_key
    (workspace_id, connection_id, purpose) NULLS NOT DISTINCT WHERE retired_at IS NULL AND shredded_at IS NULL;
-- Serves `keys status` and rotation: which data keys does a key-encryption key still wrap?
CREATE INDEX data_key_by_kek ON crm_sync.data_key (keyring, kek_id) WHERE wrapped IS NOT NULL;

-- ------------------------------------------------------------------------------------------ retention
-- What the providers' policies say, as the newest release's files have it. A worker publishes them when it starts; pages
-- read them here and not from the files, so that two releases that run side by side keep one rule. No tenant's data.

CREATE TABLE crm_sync.policy (
    connector      text PRIMARY KEY,
    title          text NOT NULL,
    version        integer NOT NULL,
    digest         text NOT NULL,                   -- of the rules: the same version must say the same
    planned        boolean NOT NULL DEFAULT false,  -- its connections were told to look at their records again
    published_at   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE crm_sync.policy_rule (
    connector        text NOT NULL REFERENCES crm_sync.policy ON DELETE CASCADE,
    kind             text NOT NULL,
    max_age          interval,                      -- NULL: no limit
    counted_from     text NOT NULL CONSTRAINT counted_from_is_known CHECK (counted_from IN ('fetched', 'record_date')),
    after_disconnect interval,                      -- NULL: no limit
    ends_when        text[] NOT NULL,
    why              text NOT NULL,
    source           text NOT NULL,
    read_on          date NOT NULL,
    sure             text NOT NULL,
    PRIMARY KEY (connector, kind)
);

-- What a workspace asks for beyond that; the shorter wins. The CRM writes it.
CREATE TABLE crm_sync.retention_rule (
    workspace_id   text NOT NULL REFERENCES crm_sync.workspace,
    connector      text NOT NULL,
    kind           text NOT NULL,
    max_age        interval NOT NULL
        CONSTRAINT max_age_is_sensible CHECK (max_age BETWEEN interval '1 hour' AND interval '36500 days'),
    counted_from   text NOT NULL CONSTRAINT counted_from_is_known CHECK (counted_from IN ('fetched', 'record_date')),
    set_by         text NOT NULL,                   -- the CRM's id of who asked for it; never an address
    set_at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, connector, kind)
);

-- Whoever changes a workspace's rule has its connections' records looked at again. The update waits for the pages that
-- are being committed under the rule of before; later ones read the new one.
CREATE FUNCTION crm_sync.plan_anew() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $plan$
BEGIN
    IF TG_OP <> 'DELETE' AND NOT EXISTS (SELECT FROM crm_sync.policy_rule p
                                         WHERE p.connector = NEW.connector AND p.kind = NEW.kind) THEN
        RAISE EXCEPTION 'crm_sync: no policy knows records of the kind «%» of the connector «%»', NEW.kind, NEW.connector
            USING ERRCODE = 'CS009', HINT = 'Known: ' || coalesce((SELECT string_agg(p.connector || ' ' || p.kind, ', '
                ORDER BY p.connector, p.kind) FROM crm_sync.policy_rule p), 'none before a worker has run') || '.';
    END IF;
    UPDATE crm_sync.connection SET plan_due_at = now()
    WHERE workspace_id = coalesce(NEW.workspace_id, OLD.workspace_id)
      AND provider = ANY (ARRAY[NEW.connector, OLD.connector]);
    RETURN NULL;
END
$plan$;
REVOKE ALL ON FUNCTION crm_sync.plan_anew() FROM PUBLIC;
CREATE TRIGGER retention_rule_plans_anew AFTER INSERT OR UPDATE OR DELETE ON crm_sync.retention_rule
    FOR EACH ROW EXECUTE FUNCTION crm_sync.plan_anew();

-- ------------------------------------------------------------------------------------- streams, parts

CREATE TABLE crm_sync.stream (
    workspace_id   text NOT NULL,
    connection_id  uuid NOT NULL,
    stream         text NOT NULL,
    purpose        text,
    state          text NOT NULL DEFAULT 'active'
        CONSTRAINT stream_state_is_known CHECK (state IN ('active', 'missing_scope', 'off')),
    state_reason   text,
    every          interval NOT NULL,
    lane           text NOT NULL DEFAULT 'backfill', -- `sync` once the first pass is done
    next_run_at    timestamptz,                     -- NULL: not planned (stopped, or being run)
    synced_at      timestamptz,
    PRIMARY KEY (workspace_id, connection_id, stream),
    FOREIGN KEY (workspace_id, connection_id) REFERENCES crm_sync.connection ON DELETE CASCADE
);
-- Serves the planner: which streams are due?
CREATE INDEX stream_due ON crm_sync.stream (next_run_at) WHERE state = 'active' AND next_run_at IS NOT NULL;

CREATE TABLE crm_sync.part (
    workspace_id   text NOT NULL,
    connection_id  uuid NOT NULL,
    stream         text NOT NULL,
    part_key       bytea NOT NULL,                  -- HMAC of the provider's id
    sealed_key     bytea,                           -- the provider's id and label
    sealed_cursor  bytea,
    page_number    bigint NOT NULL DEFAULT 0,       -- pages ever committed; a page names the number it follows
    pass_id        bigint NOT NULL DEFAULT 0,       -- counts full passes
    in_full_pass   boolean NOT NULL DEFAULT false,
    reread         boolean NOT NULL DEFAULT false,  -- records of it expired that the provider may still show
    sweeping       boolean NOT NULL DEFAULT false,  -- the pass is read; what it did not show is being deleted
    normaliser     smallint,                        -- of the pass that the cursor belongs to
    normalised_by  bigint NOT NULL DEFAULT 0,       -- the first pass with that normaliser; older ones wrote another form
    full_pass_at   timestamptz,
    synced_at      timestamptz,
    error_reason   text,
    error_at       timestamptz,
    rests_until    timestamptz,                     -- the provider asked us to leave it alone until then
    seen           bigint NOT NULL DEFAULT 0,
    saved          bigint NOT NULL DEFAULT 0,
    unchanged      bigint NOT NULL DEFAULT 0,
    deleted        bigint NOT NULL DEFAULT 0,
    repeated       bigint NOT NULL DEFAULT 0,
    skipped        bigint NOT NULL DEFAULT 0,
    refused        bigint NOT NULL DEFAULT 0,
    swept          bigint NOT NULL DEFAULT 0,       -- deletions found by a sweep, which no page showed
    CONSTRAINT counters_add_up
        CHECK (seen = saved + unchanged + deleted + repeated + skipped + refused),
    PRIMARY KEY (workspace_id, connection_id, stream, part_key),
    FOREIGN KEY (workspace_id, connection_id, stream) REFERENCES crm_sync.stream ON DELETE CASCADE
);

-- ------------------------------------------------------------------------------------------ documents
-- No foreign keys from here on down: a page's transaction holds the connection's row by (workspace, id, epoch) FOR
-- SHARE, and a check for each of a thousand rows would cost as much as writing them.

CREATE TABLE crm_sync.document (
    workspace_id   text NOT NULL,
    connection_id  uuid NOT NULL,
    stream         text NOT NULL,
    document_key   bytea NOT NULL,                  -- HMAC of the provider's id
    part_key       bytea NOT NULL,
    kind           text NOT NULL,
    digest         bytea NOT NULL,                  -- HMAC of the normal form and the normaliser's version
    sealed         bytea NOT NULL,
    blind          bytea NOT NULL DEFAULT '',       -- its values in blind_index, 16 bytes each, deleted with it
    pass_id        bigint NOT NULL,                 -- the full pass that last wrote it; -1: kept by a person's word
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    fetched_at     timestamptz NOT NULL DEFAULT now(), -- when the provider last showed it, or was last known to
    dated          date,                            -- the record's own day, by which some rules count; no finer than that
    expires_at     timestamptz,                     -- by the shorter of the provider's and the workspace's rule
    rule           text CONSTRAINT rule_is_known CHECK (rule IN ('policy', 'workspace', 'disconnect')), -- which set it
    renewable      boolean NOT NULL DEFAULT false,  -- it lives on if the provider shows it again
    PRIMARY KEY (workspace_id, connection_id, stream, document_key)
);
-- Serves the sweep at the end of a full pass and the count of a part. A part's key is an HMAC, so it needs no prefix; and
-- without one the planner cannot take this index for that of the primary key before it has statistics.
CREATE INDEX document_by_part ON crm_sync.document (part_key, pass_id);
-- Serves the sweep of what is due, and the planner of sweeps.
CREATE INDEX document_due ON crm_sync.document (expires_at, workspace_id) WHERE expires_at IS NOT NULL;

-- Lookups by a person's address or number. `value` is a version byte and 15 bytes of an HMAC with the workspace's key.
CREATE TABLE crm_sync.blind_index (
    workspace_id   text NOT NULL,
    value          bytea NOT NULL,
    connection_id  uuid NOT NULL,
    stream         text NOT NULL,
    document_key   bytea NOT NULL,
    PRIMARY KEY (workspace_id, value, connection_id, stream, document_key)
);

-- What a full pass saw and found unchanged; what it wrote carries the pass's number itself.
CREATE TABLE crm_sync.pass_seen (
    workspace_id   text NOT NULL,
    connection_id  uuid NOT NULL,
    stream         text NOT NULL,
    part_key       bytea NOT NULL,
    pass_id        bigint NOT NULL,
    document_key   bytea NOT NULL,
    PRIMARY KEY (workspace_id, connection_id, stream, part_key, pass_id, document_key)
);

CREATE TABLE crm_sync.quarantine (
    workspace_id   text NOT NULL,
    connection_id  uuid NOT NULL,
    stream         text NOT NULL,
    part_key       bytea NOT NULL,
    document_key   bytea NOT NULL,
    reason         text NOT NULL,                   -- an error's slug, or «unanswered»
    detail         text NOT NULL DEFAULT '',        -- where in the record, never what it said
    first_at       timestamptz NOT NULL DEFAULT now(),
    last_at        timestamptz NOT NULL DEFAULT now(),
    times          integer NOT NULL DEFAULT 1,
    PRIMARY KEY (workspace_id, connection_id, stream, document_key)
);

-- A mass deletion that waits for a word, or for seven days after the last record that was put into it.
CREATE TABLE crm_sync.deletion_hold (
    workspace_id   text NOT NULL,
    hold_id        bigint GENERATED ALWAYS AS IDENTITY,
    connection_id  uuid NOT NULL,
    stream         text NOT NULL,
    part_key       bytea NOT NULL,
    state          text NOT NULL DEFAULT 'open'
        CONSTRAINT hold_state_is_known CHECK (state IN ('open', 'approved', 'rejected', 'applied')),
    part_total     bigint NOT NULL,                 -- what the part held when the hold was opened
    opened_at      timestamptz NOT NULL DEFAULT now(),
    applies_at     timestamptz NOT NULL DEFAULT now() + interval '7 days',
    planned_at     timestamptz,                     -- when the planner last made a job of it
    decided_at     timestamptz,
    decided_by     text,
    PRIMARY KEY (workspace_id, hold_id)
);
CREATE UNIQUE INDEX deletion_hold_is_one_per_part
    ON crm_sync.deletion_hold (workspace_id, connection_id, stream, part_key) WHERE state = 'open';
-- Serves the planner: which holds apply by themselves?
CREATE INDEX deletion_hold_due ON crm_sync.deletion_hold (applies_at) WHERE state = 'open';

CREATE TABLE crm_sync.deletion_hold_item (
    workspace_id   text NOT NULL,
    hold_id        bigint NOT NULL,
    document_key   bytea NOT NULL,
    PRIMARY KEY (workspace_id, hold_id, document_key),
    FOREIGN KEY (workspace_id, hold_id) REFERENCES crm_sync.deletion_hold ON DELETE CASCADE
);

-- ------------------------------------------------------------------------------------------- measures
-- Numbers about campaigns, one row a campaign and day, plain: there is no person in them.

CREATE TABLE crm_sync.measure (
    workspace_id   text NOT NULL,
    connection_id  uuid NOT NULL,
    stream         text NOT NULL,
    part_key       bytea NOT NULL,                  -- the ad account, as the part that it is read by
    day            date NOT NULL,                   -- begins at midnight in time_zone
    campaign_id    text NOT NULL,
    connector      text NOT NULL,
    account_id     text NOT NULL,
    campaign_name  text NOT NULL,                   -- as the provider showed it with this row
    time_zone      text NOT NULL,                   -- of the account
    currency       text NOT NULL CONSTRAINT currency_is_iso CHECK (currency ~ '^[A-Z]{3}$'),
    cost_micros    bigint NOT NULL,                 -- millionths of the currency; a credit may make it negative
    impressions    bigint NOT NULL CONSTRAINT impressions_are_counted CHECK (impressions >= 0),
    clicks         bigint NOT NULL CONSTRAINT clicks_are_counted CHECK (clicks >= 0),
    conversions    numeric NOT NULL,                -- a conversion may be shared out among several clicks
    conversion_value numeric NOT NULL,              -- in the currency, not in micros
    hold_id        bigint,                          -- shown no more; the hold that asks whether it may go
    kept           boolean NOT NULL DEFAULT false,  -- shown no more; kept by a person's word
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(), -- when its numbers last changed
    expires_at     timestamptz,                     -- by the shorter of the provider's and the workspace's rule
    rule           text,                            -- which rule set it
    PRIMARY KEY (workspace_id, connection_id, stream, part_key, day, campaign_id)
);
-- Serves an analyst: what did all campaigns do in these days?
CREATE INDEX measure_by_day ON crm_sync.measure (workspace_id, day);
-- Serves the answer to a hold.
CREATE INDEX measure_held ON crm_sync.measure (workspace_id, hold_id) WHERE hold_id IS NOT NULL;
-- Serves the sweep of what is due.
CREATE INDEX measure_due ON crm_sync.measure (expires_at, workspace_id) WHERE expires_at IS NOT NULL;

-- The ad accounts whose days are measured, and which days were read. Within them, a day without a row is a day on which
-- nothing happened; outside of them, nobody knows.
CREATE TABLE crm_sync.measured_account (
    workspace_id   text NOT NULL,
    connection_id  uuid NOT NULL,
    stream         text NOT NULL,
    part_key       bytea NOT NULL,
    connector      text NOT NULL,
    account_id     text NOT NULL,
    account_name   text NOT NULL,
    time_zone      text NOT NULL,
    currency       text NOT NULL,
    first_day      date NOT NULL,
    last_day       date NOT NULL,
    read_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, connection_id, stream, part_key)
);

-- What an analyst wants: each account once, however many connections of the workspace can see it. Of several, the one
-- counts that has been read up to the newest day, then the one that reaches back farthest.
CREATE VIEW crm_sync.campaign_day WITH (security_invoker = true) AS
WITH chosen AS (
    SELECT DISTINCT ON (a.workspace_id, a.connector, a.account_id)
           a.workspace_id, a.connection_id, a.stream, a.part_key, a.account_name
    FROM crm_sync.measured_account a
    ORDER BY a.workspace_id, a.connector, a.account_id, a.last_day DESC, a.first_day, a.connection_id
)
SELECT m.workspace_id, m.connection_id, m.connector, m.account_id, c.account_name, m.campaign_id, m.campaign_name, m.day,
       m.time_zone, m.currency, m.cost_micros, m.impressions, m.clicks, m.conversions, m.conversion_value, m.updated_at
FROM chosen c
JOIN crm_sync.measure m USING (workspace_id, connection_id, stream, part_key);

-- ----------------------------------------------------------------------------------------------- feed
-- Positions are dense per workspace: the head is locked late in the transaction that announces.

CREATE TABLE crm_sync.feed_head (
    workspace_id   text PRIMARY KEY,
    position       bigint NOT NULL DEFAULT 0,
    kept_after     bigint NOT NULL DEFAULT 0        -- entries up to here were swept; whoever has not read them must start anew
) WITH (fillfactor = 50);

CREATE TABLE crm_sync.feed_entry (
    workspace_id   text NOT NULL,
    position       bigint NOT NULL,
    at             timestamptz NOT NULL DEFAULT now(),
    event          text NOT NULL,                   -- a code from worker.store.feed.Event
    connection_id  uuid,
    stream         text,
    document_key   bytea,
    details        jsonb,                           -- codes and numbers only
    PRIMARY KEY (workspace_id, position)
);

CREATE TABLE crm_sync.feed_reader (
    reader         text NOT NULL,
    workspace_id   text NOT NULL,
    position       bigint NOT NULL,
    read_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (reader, workspace_id)
);

-- -------------------------------------------------------------------------------------- audit, receipts

CREATE TABLE crm_sync.audit_head (
    workspace_id   text PRIMARY KEY,
    seq            bigint NOT NULL,
    hash           bytea NOT NULL
);

CREATE TABLE crm_sync.audit (
    workspace_id   text NOT NULL,
    seq            bigint NOT NULL,
    at             timestamptz NOT NULL,
    actor          text NOT NULL,
    action         text NOT NULL,
    reason         text NOT NULL,
    details        jsonb NOT NULL,                  -- ids and codes; subjects only as salted commitments
    previous_hash  bytea NOT NULL,
    hash           bytea NOT NULL,
    PRIMARY KEY (workspace_id, seq)
);

-- The salts of the commitments in `audit.details`: an erasure drops them, and the chain still verifies.
CREATE TABLE crm_sync.audit_salt (
    workspace_id   text NOT NULL,
    seq            bigint NOT NULL,
    salt           bytea NOT NULL,
    PRIMARY KEY (workspace_id, seq)
);

CREATE TABLE crm_sync.receipt (
    workspace_id   text NOT NULL,
    receipt_id     uuid NOT NULL DEFAULT gen_random_uuid(),
    connection_id  uuid,
    kind           text NOT NULL,
    at             timestamptz NOT NULL DEFAULT now(),
    body           jsonb NOT NULL,
    PRIMARY KEY (workspace_id, receipt_id)
);

-- ------------------------------------------------------------------------------------------ the ledger

CREATE TABLE crm_sync.process (
    process_id     uuid PRIMARY KEY,
    pool           text NOT NULL,
    lanes          text[] NOT NULL,
    threads        integer NOT NULL,
    host           text NOT NULL,
    pid            integer NOT NULL,
    started_at     timestamptz NOT NULL DEFAULT now(),
    beat_at        timestamptz NOT NULL DEFAULT now(),
    stopping       boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);

-- What happened once in the life of a deployment, such as the first booking of budgets.
CREATE TABLE crm_sync.deployment_mark (
    name           text PRIMARY KEY,
    at             timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT ON crm_sync.deployment_mark TO crm_sync_worker;

CREATE TABLE crm_sync.job_kind (
    kind           text PRIMARY KEY,
    lane           text NOT NULL,
    crm_may_ask    boolean NOT NULL,
    needs_sealed   boolean NOT NULL DEFAULT false,
    needs_connection boolean NOT NULL DEFAULT false
);
INSERT INTO crm_sync.job_kind (kind, lane, crm_may_ask, needs_sealed, needs_connection) VALUES
    ('ping',             'interactive', true,  false, false),
    ('start_connect',    'interactive', true,  false, false),
    ('complete_connect', 'interactive', true,  true,  false),
    ('sync_stream',      'sync',        true,  false, true),
    ('disconnect',       'privacy',     true,  false, true),
    ('purge_connection', 'privacy',     false, false, true),
    ('decide_deletions', 'interactive', true,  false, false),
    ('plan_retention',   'upkeep',      false, false, false),
    ('sweep_expired',    'upkeep',      false, false, false),
    ('sweep_own_rows',   'upkeep',      false, false, false),
    ('refresh_grant',    'upkeep',      false, false, true);

CREATE TABLE crm_sync.job (
    workspace_id   text NOT NULL REFERENCES crm_sync.workspace,
    job_id         bigint GENERATED ALWAYS AS IDENTITY,
    kind           text NOT NULL,
    lane           text NOT NULL CONSTRAINT lane_is_known
        CHECK (lane IN ('interactive', 'privacy', 'sync', 'backfill', 'upkeep')),
    state          text NOT NULL DEFAULT 'queued' CONSTRAINT job_state_is_known
        CHECK (state IN ('parked', 'queued', 'admitted', 'running', 'done', 'failed', 'dead', 'cancelled')),
    connection_id  uuid,
    args           jsonb NOT NULL DEFAULT '{}',     -- plain ids and codes
    sealed         bytea,                           -- HPKE to the intake key: codes, addresses
    unique_key     text,                            -- at most one live job carries it
    idempotency_key text,
    again          boolean NOT NULL DEFAULT false,  -- asked for once more when it had begun
    again_args     jsonb,                           -- what was asked then, where that is not for the run that has begun
    run_at         timestamptz NOT NULL DEFAULT now(),
    not_before     timestamptz,                     -- a wait that a provider or our books named; asking again ends it not
    attempt        integer NOT NULL DEFAULT 0,      -- failures so far; a wait or a yield is none
    deliveries     integer NOT NULL DEFAULT 0,      -- claims in a row that ended without an outcome
    admitted_at    timestamptz,
    rung_at        timestamptz,
    lease_owner    uuid,
    lease_epoch    bigint NOT NULL DEFAULT 0,
    deadline_at    timestamptz,                     -- of this claim; the owner's beat is the other half of the lease
    requests       bigint NOT NULL DEFAULT 0,       -- provider requests that its gate let through
    last_request_at timestamptz,
    progress       jsonb,                           -- numbers and codes
    outcome        jsonb,                           -- likewise
    sealed_outcome bytea,                           -- what is personal or secret of the outcome
    reason         text,                            -- the error's slug, when failed, dead or parked
    message        text,                            -- our own words; never a provider's
    created_at     timestamptz NOT NULL DEFAULT now(),
    started_at     timestamptz,
    finished_at    timestamptz,
    PRIMARY KEY (workspace_id, job_id),
    FOREIGN KEY (workspace_id, connection_id) REFERENCES crm_sync.connection ON DELETE CASCADE,
    CONSTRAINT args_are_small CHECK (octet_length(args::text) <= 8192),
    CONSTRAINT sealed_is_small CHECK (octet_length(sealed) <= 16384)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);

CREATE UNIQUE INDEX job_unique_key_is_live_once ON crm_sync.job (workspace_id, unique_key)
    WHERE unique_key IS NOT NULL AND state IN ('parked', 'queued', 'admitted', 'running');
CREATE UNIQUE INDEX job_idempotency_key_is_used_once ON crm_sync.job (workspace_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
-- Serves admission: the next job of each workspace in a lane.
CREATE INDEX job_queued ON crm_sync.job (lane, workspace_id, run_at, job_id) WHERE state = 'queued';
-- Serves waking: what was parked until now?
CREATE INDEX job_parked ON crm_sync.job (run_at) WHERE state = 'parked';
-- Serves the window (how many wait for a thread) and lost doorbells.
CREATE INDEX job_admitted ON crm_sync.job (lane, rung_at) WHERE state = 'admitted';
-- Serves reconciling dead owners, and the question whether a connection is still being worked on.
CREATE INDEX job_running ON crm_sync.job (lease_owner) WHERE state = 'running';
CREATE INDEX job_of_connection ON crm_sync.job (workspace_id, connection_id) WHERE connection_id IS NOT NULL;

-- How many requests were made for a connection by jobs whose rows were swept: its receipt tells of all.
CREATE TABLE crm_sync.past_requests (
    workspace_id   text NOT NULL,
    connection_id  uuid NOT NULL,
    requests       bigint NOT NULL,
    last_request_at timestamptz,
    PRIMARY KEY (workspace_id, connection_id)
);

-- When a lane last served a workspace: least recently served goes first.
CREATE TABLE crm_sync.served (
    lane           text NOT NULL,
    workspace_id   text NOT NULL,
    served_at      timestamptz NOT NULL,
    PRIMARY KEY (lane, workspace_id)
) WITH (fillfactor = 50);

-- ------------------------------------------------------------------------------ the walls between tenants

DO $walls$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['workspace', 'connection', 'consent_request', 'oauth_grant', 'stream', 'part', 'document',
        'blind_index', 'pass_seen', 'quarantine', 'deletion_hold', 'deletion_hold_item', 'measure', 'measured_account',
        'feed_head', 'feed_entry', 'audit_head', 'audit', 'audit_salt', 'receipt', 'job', 'past_requests', 'data_key',
        'sibling', 'feed_reader', 'served', 'retention_rule']
    LOOP
        EXECUTE format('ALTER TABLE crm_sync.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE crm_sync.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY owner_migrates ON crm_sync.%I TO CURRENT_USER USING (true) WITH CHECK (true)', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['workspace', 'connection', 'consent_request', 'oauth_grant', 'stream', 'part', 'pass_seen',
        'quarantine', 'deletion_hold', 'deletion_hold_item', 'measured_account', 'feed_head', 'feed_entry', 'audit_head',
        'audit', 'audit_salt', 'receipt', 'job', 'past_requests', 'retention_rule']
    LOOP
        EXECUTE format($policy$
            CREATE POLICY own_workspace ON crm_sync.%I TO crm_sync_worker, crm_sync_crm
                USING (workspace_id = (SELECT NULLIF(current_setting('crm_sync.workspace', true), '')))
                WITH CHECK (workspace_id = (SELECT NULLIF(current_setting('crm_sync.workspace', true), '')))
            $policy$, name);
    END LOOP;
END
$walls$;

-- What is due is unreadable from that moment on, swept or not, also within a transaction that began before. A
-- transaction of the worker that deletes, or writes over, sets crm_sync.sweeping: what a policy hides can be neither.
CREATE POLICY own_workspace ON crm_sync.document TO crm_sync_worker
    USING (workspace_id = (SELECT NULLIF(current_setting('crm_sync.workspace', true), ''))
           AND (expires_at IS NULL OR expires_at > statement_timestamp() OR (SELECT current_setting('crm_sync.sweeping', true)) = 'on'))
    WITH CHECK (workspace_id = (SELECT NULLIF(current_setting('crm_sync.workspace', true), '')));
CREATE POLICY own_workspace_of_crm ON crm_sync.document TO crm_sync_crm
    USING (workspace_id = (SELECT NULLIF(current_setting('crm_sync.workspace', true), ''))
           AND (expires_at IS NULL OR expires_at > statement_timestamp()))
    WITH CHECK (workspace_id = (SELECT NULLIF(current_setting('crm_sync.workspace', true), '')));
CREATE POLICY own_workspace ON crm_sync.measure TO crm_sync_worker
    USING (workspace_id = (SELECT NULLIF(current_setting('crm_sync.workspace', true), ''))
           AND (expires_at IS NULL OR expires_at > statement_timestamp() OR (SELECT current_setting('crm_sync.sweeping', true)) = 'on'))
    WITH CHECK (workspace_id = (SELECT NULLIF(current_setting('crm_sync.workspace', true), '')));
CREATE POLICY own_workspace_of_crm ON crm_sync.measure TO crm_sync_crm
    USING (workspace_id = (SELECT NULLIF(current_setting('crm_sync.workspace', true), ''))
           AND (expires_at IS NULL OR expires_at > statement_timestamp()))
    WITH CHECK (workspace_id = (SELECT NULLIF(current_setting('crm_sync.workspace', true), '')));

-- A lookup value of a record that is due tells nobody that the person is still in here.
CREATE POLICY own_workspace ON crm_sync.blind_index TO crm_sync_worker
    USING (workspace_id = (SELECT NULLIF(current_setting('crm_sync.workspace', true), '')))
    WITH CHECK (workspace_id = (SELECT NULLIF(current_setting('crm_sync.workspace', true), '')));
CREATE POLICY own_workspace_of_crm ON crm_sync.blind_index FOR SELECT TO crm_sync_crm
    USING (workspace_id = (SELECT NULLIF(current_setting('crm_sync.workspace', true), ''))
           AND EXISTS (SELECT FROM crm_sync.document d
                       WHERE d.workspace_id = blind_index.workspace_id AND d.connection_id = blind_index.connection_id
                         AND d.stream = blind_index.stream AND d.document_key = blind_index.document_key));

CREATE POLICY own_keys ON crm_sync.data_key TO crm_sync_worker
    USING (workspace_id IN ('', (SELECT current_setting('crm_sync.workspace', true))))
    WITH CHECK (workspace_id IN ('', (SELECT current_setting('crm_sync.workspace', true))));
CREATE POLICY own_keys_of_records ON crm_sync.data_key TO crm_sync_crm
    USING (workspace_id = (SELECT NULLIF(current_setting('crm_sync.workspace', true), '')) AND keyring = 'records');

-- Across workspaces, but ids and digests only.
CREATE POLICY all_workspaces ON crm_sync.sibling TO crm_sync_worker USING (true) WITH CHECK (true);
CREATE POLICY all_workspaces ON crm_sync.feed_reader TO crm_sync_crm USING (true) WITH CHECK (true);
CREATE POLICY all_heads ON crm_sync.feed_head FOR SELECT TO crm_sync_crm USING (true);
CREATE POLICY all_workspaces ON crm_sync.served TO crm_sync_scheduler USING (true) WITH CHECK (true);
CREATE POLICY ids_and_times ON crm_sync.job TO crm_sync_scheduler USING (true) WITH CHECK (true);
CREATE POLICY ids_and_times ON crm_sync.workspace TO crm_sync_scheduler USING (true) WITH CHECK (true);
CREATE POLICY ids_and_times ON crm_sync.stream TO crm_sync_scheduler USING (true) WITH CHECK (true);
CREATE POLICY ids_and_times ON crm_sync.connection TO crm_sync_scheduler USING (true) WITH CHECK (true);
CREATE POLICY what_is_due ON crm_sync.measure FOR SELECT TO crm_sync_scheduler USING (expires_at <= statement_timestamp());
CREATE POLICY what_is_due ON crm_sync.document FOR SELECT TO crm_sync_scheduler USING (expires_at <= statement_timestamp());
CREATE POLICY ids_and_times ON crm_sync.oauth_grant FOR SELECT TO crm_sync_scheduler USING (true);
CREATE POLICY ids_and_times ON crm_sync.deletion_hold TO crm_sync_scheduler USING (true) WITH CHECK (true);

-- ------------------------------------------------------------------------------------------- privileges

GRANT SELECT, INSERT, UPDATE, DELETE ON
    crm_sync.connection, crm_sync.consent_request, crm_sync.oauth_grant, crm_sync.stream, crm_sync.part,
    crm_sync.document, crm_sync.blind_index, crm_sync.pass_seen, crm_sync.quarantine,
    crm_sync.deletion_hold, crm_sync.deletion_hold_item, crm_sync.measure, crm_sync.measured_account,
    crm_sync.sibling, crm_sync.process, crm_sync.data_key
    TO crm_sync_worker;
GRANT SELECT ON crm_sync.workspace, crm_sync.job_kind TO crm_sync_worker, crm_sync_scheduler, crm_sync_crm;
GRANT SELECT, INSERT, UPDATE, DELETE ON crm_sync.job TO crm_sync_worker;
GRANT SELECT, INSERT, UPDATE ON crm_sync.feed_head, crm_sync.audit_head, crm_sync.past_requests TO crm_sync_worker;
GRANT SELECT, INSERT, DELETE ON crm_sync.feed_entry TO crm_sync_worker;
GRANT SELECT, INSERT ON crm_sync.audit, crm_sync.receipt TO crm_sync_worker;
GRANT SELECT, INSERT, DELETE ON crm_sync.audit_salt TO crm_sync_worker;

GRANT INSERT ON crm_sync.workspace TO crm_sync_crm;
GRANT SELECT ON
    crm_sync.stream, crm_sync.document, crm_sync.blind_index, crm_sync.quarantine,
    crm_sync.deletion_hold, crm_sync.deletion_hold_item, crm_sync.measure, crm_sync.measured_account,
    crm_sync.campaign_day, crm_sync.feed_head, crm_sync.feed_entry, crm_sync.receipt
    TO crm_sync_crm;
GRANT SELECT (workspace_id, connection_id, provider, state, state_reason, admin_consent_url, state_since, epoch, purposes,
              scopes, policy_version, agreed_by, agreed_at, created_at) ON crm_sync.connection TO crm_sync_crm;
GRANT SELECT (workspace_id, connection_id, stream, part_key, sealed_key, page_number, pass_id, in_full_pass, full_pass_at,
              synced_at, error_reason, error_at, seen, saved, unchanged, deleted, repeated, skipped, refused, swept)
    ON crm_sync.part TO crm_sync_crm;
GRANT SELECT (workspace_id, job_id, kind, lane, state, connection_id, args, unique_key, run_at, attempt, deliveries,
              requests, last_request_at, progress, outcome, sealed_outcome, reason, message, created_at, started_at,
              finished_at) ON crm_sync.job TO crm_sync_crm;
GRANT SELECT (key_id, workspace_id, connection_id, purpose, keyring, kek_id, wrapped, retired_at, shredded_at)
    ON crm_sync.data_key TO crm_sync_crm;
GRANT SELECT, INSERT, UPDATE, DELETE ON crm_sync.feed_reader TO crm_sync_crm;
GRANT SELECT, INSERT ON crm_sync.audit, crm_sync.audit_salt TO crm_sync_crm;
GRANT SELECT, INSERT, UPDATE ON crm_sync.audit_head TO crm_sync_crm;

GRANT SELECT (workspace_id, job_id, kind, lane, state, connection_id, unique_key, run_at, deliveries, admitted_at, rung_at,
              lease_owner, lease_epoch, deadline_at, attempt, created_at, started_at, finished_at)
    ON crm_sync.job TO crm_sync_scheduler;
GRANT UPDATE (state, run_at, lane, admitted_at, rung_at, lease_owner, lease_epoch, deadline_at)
    ON crm_sync.job TO crm_sync_scheduler;
GRANT INSERT (workspace_id, kind, lane, connection_id, args, unique_key, run_at) ON crm_sync.job TO crm_sync_scheduler;
GRANT SELECT (workspace_id, connection_id, stream, state, every, lane, next_run_at, synced_at)
    ON crm_sync.stream TO crm_sync_scheduler;
GRANT UPDATE (next_run_at) ON crm_sync.stream TO crm_sync_scheduler;
GRANT SELECT (workspace_id, connection_id, provider, state, epoch, plan_due_at)
    ON crm_sync.connection TO crm_sync_scheduler;
GRANT UPDATE (upkeep_due_at) ON crm_sync.workspace TO crm_sync_scheduler;
GRANT UPDATE (plan_due_at) ON crm_sync.connection TO crm_sync_scheduler, crm_sync_crm;
GRANT SELECT (workspace_id, expires_at) ON crm_sync.document, crm_sync.measure TO crm_sync_scheduler;
GRANT SELECT ON crm_sync.policy, crm_sync.policy_rule TO crm_sync_worker, crm_sync_scheduler, crm_sync_crm;
GRANT INSERT, UPDATE, DELETE ON crm_sync.policy, crm_sync.policy_rule TO crm_sync_worker;
GRANT UPDATE (planned) ON crm_sync.policy TO crm_sync_scheduler;
GRANT SELECT ON crm_sync.retention_rule TO crm_sync_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON crm_sync.retention_rule TO crm_sync_crm;
GRANT SELECT (workspace_id, connection_id, expires_at, refresh_expires_at, refreshed_at)
    ON crm_sync.oauth_grant TO crm_sync_scheduler;
GRANT SELECT (workspace_id, hold_id, connection_id, state, applies_at, planned_at)
    ON crm_sync.deletion_hold TO crm_sync_scheduler;
GRANT UPDATE (planned_at) ON crm_sync.deletion_hold TO crm_sync_scheduler;
GRANT SELECT, INSERT, UPDATE, DELETE ON crm_sync.served TO crm_sync_scheduler;
GRANT SELECT, DELETE ON crm_sync.process TO crm_sync_scheduler;

-- -------------------------------------------------------------------------------------- the CRM's door

-- Asks for work inside the caller's own transaction; the job exists if that transaction commits.
-- It runs as the owner because the CRM's login may not write to the ledger by any other way: the one listed
-- exception to the rule that nothing here is SECURITY DEFINER.
--
-- Returns the job's id. An idempotency key used before gives the job of that time; a job that is alive for the same
-- connection, kind and stream is joined rather than doubled, and asked for again if it has begun: whoever asks for a sync
-- gets one in which everything is read after they asked. A hold is decided on by one job at a time.
CREATE FUNCTION crm_sync.enqueue(
    kind text, workspace text, args jsonb DEFAULT '{}', sealed bytea DEFAULT NULL, idempotency_key text DEFAULT NULL,
    run_at timestamptz DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $enqueue$
DECLARE
    rule         crm_sync.job_kind%ROWTYPE;
    known        crm_sync.connection%ROWTYPE;
    wanted       uuid;
    key          text;
    at           timestamptz := coalesce(enqueue.run_at, now());
    found_id     bigint;
    living       crm_sync.job%ROWTYPE;
    has_begun    boolean;
BEGIN
    SELECT * INTO rule FROM crm_sync.job_kind k WHERE k.kind = enqueue.kind;
    IF NOT FOUND OR NOT rule.crm_may_ask THEN
        RAISE EXCEPTION 'crm_sync: there is no job kind «%» that the CRM may ask for', enqueue.kind
            USING ERRCODE = 'CS001', HINT = 'Kinds: ' || (SELECT string_agg(k.kind, ', ' ORDER BY k.kind)
                FROM crm_sync.job_kind k WHERE k.crm_may_ask);
    END IF;
    PERFORM 1 FROM crm_sync.workspace w WHERE w.workspace_id = enqueue.workspace;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'crm_sync: there is no workspace «%»', enqueue.workspace
            USING ERRCODE = 'CS002', HINT = 'Register it first: INSERT INTO crm_sync.workspace (workspace_id) …';
    END IF;
    IF jsonb_typeof(enqueue.args) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'crm_sync: args must be a JSON object' USING ERRCODE = 'CS003';
    END IF;
    IF rule.needs_sealed AND enqueue.sealed IS NULL THEN
        RAISE EXCEPTION 'crm_sync: a job of kind «%» carries secrets; pass them in sealed', enqueue.kind
            USING ERRCODE = 'CS004', HINT = 'Seal with HPKE to crm_sync.intake_key(), or use worker.client.';
    END IF;
    IF enqueue.args ? 'connection_id' THEN
        BEGIN
            wanted := (enqueue.args->>'connection_id')::uuid;
        EXCEPTION WHEN invalid_text_representation THEN
            RAISE EXCEPTION 'crm_sync: args.connection_id is no connection id' USING ERRCODE = 'CS003';
        END;
        SELECT * INTO known FROM crm_sync.connection c
            WHERE c.workspace_id = enqueue.workspace AND c.connection_id = wanted;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'crm_sync: workspace «%» has no connection %', enqueue.workspace, wanted
                USING ERRCODE = 'CS005', HINT = 'See `crm-sync connections`.';
        END IF;
    ELSIF rule.needs_connection THEN
        RAISE EXCEPTION 'crm_sync: a job of kind «%» needs args.connection_id', enqueue.kind USING ERRCODE = 'CS003';
    END IF;
    IF enqueue.kind = 'sync_stream' THEN
        PERFORM 1 FROM crm_sync.stream s WHERE s.workspace_id = enqueue.workspace AND s.connection_id = wanted
            AND s.stream = enqueue.args->>'stream';
        IF NOT FOUND THEN
            RAISE EXCEPTION 'crm_sync: connection % has no stream «%»', wanted, enqueue.args->>'stream'
                USING ERRCODE = 'CS006', HINT = 'Streams: ' || coalesce((SELECT string_agg(s.stream, ', ' ORDER BY s.stream)
                    FROM crm_sync.stream s WHERE s.workspace_id = enqueue.workspace AND s.connection_id = wanted), 'none yet');
        END IF;
        key := 'sync_stream:' || wanted || ':' || (enqueue.args->>'stream');
    ELSIF enqueue.kind = 'decide_deletions' THEN
        SELECT h.connection_id, 'decide_deletions:' || h.hold_id INTO wanted, key FROM crm_sync.deletion_hold h
            WHERE h.workspace_id = enqueue.workspace AND to_jsonb(h.hold_id) = enqueue.args->'hold_id';
        IF NOT FOUND THEN
            RAISE EXCEPTION 'crm_sync: workspace «%» has no hold %', enqueue.workspace,
                coalesce(enqueue.args->>'hold_id', '(args.hold_id is missing)')
                USING ERRCODE = 'CS007', HINT = 'See `crm-sync deletions list`.';
        END IF;
    ELSIF rule.needs_connection THEN
        key := enqueue.kind || ':' || wanted;
    END IF;

    LOOP
        INSERT INTO crm_sync.job AS j
            (workspace_id, kind, lane, state, connection_id, args, sealed, unique_key, idempotency_key, run_at)
        VALUES (enqueue.workspace, rule.kind, rule.lane, CASE WHEN at > now() THEN 'parked' ELSE 'queued' END,
                wanted, enqueue.args, enqueue.sealed, key, enqueue.idempotency_key, at)
        ON CONFLICT DO NOTHING
        RETURNING j.job_id INTO found_id;
        IF FOUND THEN
            RETURN found_id;
        END IF;
        SELECT j.job_id INTO found_id FROM crm_sync.job j
            WHERE j.workspace_id = enqueue.workspace AND j.idempotency_key = enqueue.idempotency_key;
        IF FOUND THEN
            RETURN found_id;
        END IF;
        SELECT * INTO living FROM crm_sync.job j
            WHERE j.workspace_id = enqueue.workspace AND j.unique_key = key
              AND j.state IN ('parked', 'queued', 'admitted', 'running')
            FOR UPDATE;
        EXIT WHEN FOUND;  -- Otherwise it has just come to its end, and the next round makes a new one.
    END LOOP;

    has_begun := living.state = 'running' OR living.progress IS NOT NULL;
    IF living.kind = 'sync_stream' AND has_begun THEN
        -- It may have read some parts already: they are read again by a run of their own, after this one.
        living.again := true;
        living.again_args := coalesce(living.again_args, '{}') || enqueue.args
            || CASE WHEN living.again_args @> '{"full": true}' THEN '{"full": true}'::jsonb ELSE '{}' END;
    ELSIF living.kind = 'decide_deletions' THEN
        IF living.args->>'decision' = 'apply' AND NOT has_begun THEN
            living.args := enqueue.args;  -- A person's word outweighs that seven days are over.
        ELSIF living.args->>'decision' IS DISTINCT FROM enqueue.args->>'decision' THEN
            RAISE EXCEPTION 'crm_sync: hold % is being decided on already (%), by job %',
                living.args->>'hold_id', living.args->>'decision', living.job_id
                USING ERRCODE = 'CS008', HINT = 'Wait for that job, and see `crm-sync deletions list`.';
        END IF;
    ELSIF living.kind = 'disconnect' AND living.state = 'running'
          AND (living.args @> '{"delete_data": true}' OR NOT enqueue.args @> '{"delete_data": true}') THEN
        NULL;  -- What runs does all of that: whoever joins it reads the same receipt.
    ELSE
        -- Who once asked for all of it gets it, whatever the next one asks for.
        living.again := living.again OR living.state = 'running';
        living.args := living.args || enqueue.args
            || CASE WHEN living.args @> '{"full": true}' THEN '{"full": true}'::jsonb ELSE '{}' END
            || CASE WHEN living.args @> '{"delete_data": true}' THEN '{"delete_data": true}'::jsonb ELSE '{}' END;
    END IF;
    UPDATE crm_sync.job AS j SET
        again = living.again,
        again_args = living.again_args,
        args = living.args,
        lane = CASE WHEN j.state = 'running' THEN j.lane ELSE rule.lane END,
        state = CASE WHEN j.state = 'parked' AND at <= now() AND j.reason IS NULL THEN 'queued' ELSE j.state END,
        run_at = greatest(least(j.run_at, at), j.not_before)
    WHERE j.workspace_id = living.workspace_id AND j.job_id = living.job_id;
    RETURN living.job_id;
END
$enqueue$;
REVOKE ALL ON FUNCTION crm_sync.enqueue(text, text, jsonb, bytea, text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION crm_sync.enqueue(text, text, jsonb, bytea, text, timestamptz) TO crm_sync_crm, crm_sync_worker;

-- The public half of the intake key (X25519), to which the CRM seals what a job must carry in secret.
CREATE TABLE crm_sync.intake (
    key_id      uuid PRIMARY KEY,
    public_key  bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    retired_at  timestamptz
);
GRANT SELECT, INSERT, UPDATE ON crm_sync.intake TO crm_sync_worker;
GRANT SELECT ON crm_sync.intake TO crm_sync_crm;
CREATE FUNCTION crm_sync.intake_key(OUT key_id uuid, OUT public_key bytea)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $intake$
    SELECT i.key_id, i.public_key FROM crm_sync.intake i WHERE i.retired_at IS NULL ORDER BY i.created_at DESC LIMIT 1
$intake$;
REVOKE ALL ON FUNCTION crm_sync.intake_key() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION crm_sync.intake_key() TO crm_sync_crm, crm_sync_worker;

-- The workspaces whose head is past a reader's position. One whose position is before `kept_after` has missed something.
CREATE FUNCTION crm_sync.feed_news(reader text)
RETURNS TABLE (workspace_id text, read_position bigint, head bigint, kept_after bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $news$
    SELECT h.workspace_id, coalesce(r.position, 0), h.position, h.kept_after
    FROM crm_sync.feed_head h
    LEFT JOIN crm_sync.feed_reader r ON r.workspace_id = h.workspace_id AND r.reader = feed_news.reader
    WHERE h.position > coalesce(r.position, 0)
    ORDER BY h.workspace_id
$news$;
REVOKE ALL ON FUNCTION crm_sync.feed_news(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION crm_sync.feed_news(text) TO crm_sync_crm;

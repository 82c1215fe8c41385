-- One row is one connection: what one actor allowed one client at one provider account.
create table oauth_tokens (
    id                    uuid        primary key,
    provider              text        not null,
    workspace_id          text        not null,
    actor_id              text        not null,
    -- What people call the account at the provider, and its stable id there.
    account               text        not null,
    subject               text,
    -- A refresh token works only with the client it was issued to.
    client_id             text        not null,
    -- Granted, and asked for; `scopes_assumed` where the provider did not say what it granted.
    scopes                text[]      not null default '{}',
    requested_scopes      text[]      not null default '{}',
    scopes_assumed        boolean     not null default false,
    -- When the access token ends (null: unknown), and the refresh token if that is known.
    expires_at            timestamptz,
    refresh_expires_at    timestamptz,
    status                text        not null
        check (status in ('active', 'pending', 'reauthorization_required')),
    status_reason         text,
    status_since          timestamptz not null default now(),
    -- The encrypted token set, bound to id and key columns; null while only a pending one exists.
    token_data            bytea,
    key_id                text,
    version               bigint      not null default 1,
    -- A token set that waits for the host application's confirmation.
    pending_token_data    bytea,
    pending_until         timestamptz,
    -- The right to refresh, for some seconds; and when to try again after a failure.
    lease_id              uuid,
    lease_until           timestamptz,
    retry_at              timestamptz,
    forced_at             timestamptz,
    refresh_failures      integer     not null default 0,
    refresh_failing_since timestamptz,
    refresh_error         text,
    created_at            timestamptz not null default now(),
    updated_at            timestamptz not null default now(),
    last_refreshed_at     timestamptz,
    unique (provider, workspace_id, actor_id, account)
);

create index oauth_tokens_by_owner on oauth_tokens (workspace_id, actor_id, created_at, id);
create index oauth_tokens_by_expiry on oauth_tokens (expires_at) where status = 'active';
create index oauth_tokens_by_subject on oauth_tokens (provider, subject);
create index oauth_tokens_failing on oauth_tokens (refresh_failing_since)
    where refresh_failing_since is not null;

-- An authorization that was begun and not completed; gone once its callback was used.
create table pending_authorizations (
    id         uuid        primary key,
    state_hash bytea       not null,
    expires_at timestamptz not null
);
create index pending_authorizations_by_expiry on pending_authorizations (expires_at);

-- Connect links that were completed: each works once.
create table completed_links (
    id         uuid        primary key,
    expires_at timestamptz not null
);
create index completed_links_by_expiry on completed_links (expires_at);

-- What happened to connections: audit trail and source of webhooks.
create table connection_events (
    id            uuid        primary key,
    type          text        not null,
    connection_id uuid,
    provider      text        not null,
    workspace_id  text,
    actor_id      text,
    account       text,
    data          jsonb       not null default '{}',
    created_at    timestamptz not null default now()
);
create index connection_events_by_connection on connection_events (connection_id, created_at);
create index connection_events_by_time on connection_events (created_at);

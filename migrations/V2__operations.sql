-- The outbox: an event is delivered to the webhook from its own row.
alter table connection_events
    add column deliver_at         timestamptz not null default now(),
    add column delivery_attempts  integer     not null default 0,
    add column delivery_error     text,
    add column delivered_at       timestamptz,
    add column delivery_given_up  boolean     not null default false;
create index connection_events_outbox on connection_events (created_at, id)
    where delivered_at is null and not delivery_given_up and type <> 'callback.refused';

-- Webhook endpoints that answered 410 Gone: not called again until they are another address.
create table disabled_webhooks (
    url_hash    bytea       primary key,
    disabled_at timestamptz not null default now()
);

-- Revocations that the provider did not take at once; the token is sealed for this row.
create table pending_revocations (
    id         uuid        primary key,
    provider   text        not null,
    workspace_id text      not null,
    actor_id   text        not null,
    account    text        not null,
    subject    text,
    client_id  text        not null,
    token_data bytea       not null,
    key_id     text        not null,
    attempts   integer     not null default 0,
    retry_at   timestamptz not null default now(),
    expires_at timestamptz not null
);
create index pending_revocations_due on pending_revocations (retry_at);

-- Who read which token, where AUDIT_READS=table asks for it.
create table token_reads (
    id            bigint generated always as identity primary key,
    read_at       timestamptz not null default now(),
    service_key   text        not null,
    connection_id uuid,
    provider      text        not null,
    workspace_id  text        not null,
    actor_id      text        not null,
    account       text,
    scope         text,
    result        text        not null,
    -- Which token set of the connection: its version.
    version       bigint
);
create index token_reads_by_connection on token_reads (connection_id, read_at);
create index token_reads_by_time on token_reads (read_at);

-- When each scheduled job last came to its end.
create table cron_runs (
    job      text        primary key,
    ended_at timestamptz not null
);

-- Connections to refresh ahead: those whose access token ends soon, and those whose refresh
-- token would die of not being used.
create index oauth_tokens_expiring on oauth_tokens (provider, expires_at)
    where status = 'active';
create index oauth_tokens_idle on oauth_tokens
    (provider, (coalesce(last_refreshed_at, status_since))) where status = 'active';
drop index oauth_tokens_by_expiry;
-- Grants whose end is known.
create index oauth_tokens_ending on oauth_tokens (refresh_expires_at)
    where status = 'active' and refresh_expires_at is not null;
create index oauth_tokens_unconfirmed on oauth_tokens (pending_until)
    where status = 'pending';
-- What happened to providers rather than to connections.
create index connection_events_of_providers on connection_events (provider, type, created_at)
    where connection_id is null;

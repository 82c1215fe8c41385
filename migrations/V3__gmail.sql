-- What to look for in a connection's mailbox, and how far that has come.
create table gmail_watches (
    id            uuid        primary key,
    connection_id uuid        not null references oauth_tokens (id) on delete cascade,
    query         text        not null,
    -- Where the provider's history of the mailbox was read up to; null before the first look.
    history_id    text,
    -- Where a listing stopped that one invocation could not end.
    page_token    text,
    poll_at       timestamptz not null default now(),
    lease_id      uuid,
    lease_until   timestamptz,
    failures      integer     not null default 0,
    error         text,
    polled_at     timestamptz,
    created_at    timestamptz not null default now(),
    unique (connection_id, query)
);
create index gmail_watches_due on gmail_watches (poll_at);

-- Messages that watches found; each once for a connection.
create table email_messages (
    id            uuid        primary key,
    connection_id uuid        not null references oauth_tokens (id) on delete cascade,
    message_id    text        not null,
    thread_id     text        not null,
    sender        text        not null,
    subject       text,
    snippet       text,
    received_at   timestamptz not null,
    processed_at  timestamptz not null default now(),
    unique (connection_id, message_id)
);
create index email_messages_newest on email_messages (connection_id, received_at desc, id desc);

-- Calls that carried an idempotency key: the same key sends once.
create table sent_messages (
    connection_id   uuid        not null references oauth_tokens (id) on delete cascade,
    idempotency_key text        not null,
    request_hash    bytea       not null,
    message_id      text,
    thread_id       text,
    lease_until     timestamptz not null,
    created_at      timestamptz not null default now(),
    primary key (connection_id, idempotency_key)
);
create index sent_messages_by_time on sent_messages (created_at);

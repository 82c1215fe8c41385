-- Connections whose mailbox is watched; all watches of one are polled together.
create table gmail_mailboxes (
    connection_id uuid        primary key references oauth_tokens (id) on delete cascade,
    -- Where the provider's history of the mailbox was read up to; null before the first look.
    history_id    text,
    -- New messages that no watch matched at first sight: the provider's search lags behind.
    unmatched     text[]      not null default '{}',
    poll_at       timestamptz not null default now(),
    lease_id      uuid,
    lease_until   timestamptz,
    failures      integer     not null default 0,
    error         text,
    polled_at     timestamptz
);
create index gmail_mailboxes_due on gmail_mailboxes (poll_at);

-- What to look for in a mailbox, and how far its first listing has come.
create table gmail_watches (
    id            uuid        primary key,
    connection_id uuid        not null references gmail_mailboxes (connection_id) on delete cascade,
    query         text        not null,
    -- What was there before is listed once; after that, the history tells what is new.
    listed        boolean     not null default false,
    -- Where a listing stopped that one invocation could not end.
    page_token    text,
    -- A listing that closes a gap in the history begins here.
    list_after    timestamptz,
    created_at    timestamptz not null default now(),
    unique (connection_id, query)
);

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

-- People who signed in, known by issuer and subject; the e-mail address is a label.
create table users (
    id             uuid        primary key,
    iss            text        not null,
    sub            text        not null,
    email          text,
    email_verified boolean     not null default false,
    created_at     timestamptz not null default now(),
    signed_in_at   timestamptz not null default now(),
    unique (iss, sub)
);

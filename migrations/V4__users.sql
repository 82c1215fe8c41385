-- People who signed in, known by issuer and subject. The e-mail address is a label, and
-- only there when the issuer has verified it.
create table users (
    id           uuid        primary key,
    iss          text        not null,
    sub          text        not null,
    email        text,
    created_at   timestamptz not null default now(),
    signed_in_at timestamptz not null default now(),
    unique (iss, sub)
);

-- The identity provider: who its customers are, and the keys that it signs their tokens with.

create table customers (
    customer_id   text        primary key,
    salt          bytea       not null,
    password_hash bytea       not null,
    at            timestamptz not null default now()
);

-- The key that signs has no `leaves_at`; the others stay in the published set until theirs.
create table signing_keys (
    kid           text        primary key,
    private_key   bytea       not null,
    at            timestamptz not null default now(),
    leaves_at     timestamptz,
    tokens_issued bigint      not null default 0
);
create unique index signing_keys_one_signs on signing_keys ((true)) where leaves_at is null;

-- The payment provider's ledger: what really happened to customers' money.

create table charges (
    charge_id       uuid        primary key,
    idempotency_key text        unique,
    reference       text        not null,
    amount_minor    bigint      not null check (amount_minor > 0),
    currency        text        not null,
    at              timestamptz not null default now()
);
create index charges_reference on charges (reference);

-- A decline is final for its key: a delayed twin of the request must not book later what was declined.
create table declines (
    idempotency_key text        primary key,
    reference       text        not null,
    at              timestamptz not null default now()
);

create table refunds (
    refund_id       uuid        primary key,
    charge_id       uuid        not null references charges (charge_id),
    idempotency_key text        unique,
    reference       text        not null,
    amount_minor    bigint      not null check (amount_minor > 0),
    at              timestamptz not null default now()
);
create index refunds_charge on refunds (charge_id);

-- Every request that reached the provider, whatever became of it.
create table requests (
    reference text   not null,
    kind      text   not null check (kind in ('charge', 'refund')),
    attempts  bigint not null,
    keys      text[] not null,
    primary key (reference, kind)
);

-- What is known of every charge and refund, and every command that was answered.

create table payments (
    order_id     uuid        not null,
    kind         text        not null check (kind in ('charge', 'refund')),
    state        text        not null check (state in ('pending', 'unknown', 'succeeded', 'declined')),
    amount_minor bigint      not null check (amount_minor > 0),
    currency     text        not null,
    provider_key text        not null,
    provider_id  text,
    attempts     integer     not null default 0,
    updated_at   timestamptz not null default now(),
    primary key (order_id, kind)
);

create table inbox (
    message_id   uuid        primary key,
    topic        text        not null,
    order_id     uuid        not null,
    outcome      jsonb       not null,
    processed_at timestamptz not null default now()
);

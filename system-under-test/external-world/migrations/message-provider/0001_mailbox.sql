-- The message provider's mailbox: what really reached customers.

create table messages (
    message_id      uuid        primary key,
    idempotency_key text,
    channel         text        not null check (channel in ('email', 'sms')),
    recipient       text        not null,
    template        text        not null,
    subject         text,
    body            text        not null,
    reference       text        not null,
    kind            text        not null,
    at              timestamptz not null default now()
);
create index messages_key on messages (idempotency_key, at);
create index messages_reference on messages (reference);

-- Every request that reached the provider, whatever became of it.
create table requests (
    reference text   not null,
    kind      text   not null,
    channel   text   not null,
    attempts  bigint not null,
    primary key (reference, kind, channel)
);

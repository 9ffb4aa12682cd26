-- What customers are told: one row for each order, kind and channel, written before the message is sent, so that what is
-- not sent yet can be seen.
create table notifications (
    order_id     uuid not null,
    kind         text not null,
    channel      text not null check (channel in ('email', 'sms')),
    state        text not null default 'pending' check (state in ('pending', 'sent', 'refused', 'given_up')),
    recipient    text not null,
    template     text not null,
    provider_id  text,
    reason       text,
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now(),
    primary key (order_id, kind, channel)
);
create index notifications_pending on notifications (created_at) where state = 'pending';

-- Messages whose effect is in this database.
create table inbox (
    message_id   uuid primary key,
    topic        text not null,
    order_id     uuid not null,
    processed_at timestamptz not null default now()
);

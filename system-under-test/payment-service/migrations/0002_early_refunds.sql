-- Refunds that came before the charge they give back; they wait for it.

create table early_refunds (
    order_id     uuid        primary key,
    message_id   uuid        not null,
    topic        text        not null,
    amount_minor bigint      not null check (amount_minor > 0),
    currency     text        not null,
    noted_at     timestamptz not null default now()
);

-- What is for sale, at which price.
create table products (
    product_id  text primary key,
    price_minor bigint not null,
    currency    text not null
);

create table orders (
    order_id     uuid primary key,
    reference    text not null,
    customer_id  text not null,
    state        text not null,
    amount_minor bigint not null,
    currency     text not null,
    version      int not null,
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now()
);
create index orders_by_reference on orders (reference);

create table order_lines (
    order_id    uuid not null references orders,
    line        int not null,
    product_id  text not null,
    quantity    int not null,
    price_minor bigint not null,
    primary key (order_id, line)
);

-- One row a change of state. No reference to orders and no key over (order_id, version): the defences have to keep it
-- right, and a drill that switches one off must be able to see that it is wrong.
create table audit (
    order_id   uuid not null,
    version    int not null,
    from_state text,
    to_state   text not null,
    cause      text not null,
    at         timestamptz not null default now()
);
create index audit_by_order on audit (order_id);

-- Messages that were decided on; the relay publishes them.
create table outbox (
    outbox_id    bigserial primary key,
    message_id   uuid not null,
    topic        text not null,
    message_key  text not null,
    payload      jsonb not null,
    traceparent  text,
    created_at   timestamptz not null default now(),
    published_at timestamptz
);
create index outbox_unpublished on outbox (message_key, topic, outbox_id) where published_at is null;

create table idempotency_keys (
    key          text primary key,
    request_hash text not null,
    order_id     uuid not null,
    created_at   timestamptz not null default now()
);

-- Messages whose effect is in this database.
create table inbox (
    message_id   uuid primary key,
    topic        text not null,
    order_id     uuid not null,
    processed_at timestamptz not null default now()
);

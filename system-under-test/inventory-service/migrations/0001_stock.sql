-- No check that on_hand is not negative: the atomic decrement has to keep it so, and a drill that switches it off must be
-- able to see that it does not.
create table stock (
    product_id text primary key,
    initial    int not null,
    on_hand    int not null
);

create table stock_moves (
    move_id       bigserial primary key,
    order_id      uuid not null,
    product_id    text not null,
    quantity      int not null,
    on_hand_after int not null,
    at            timestamptz not null default now()
);
create index stock_moves_by_order on stock_moves (order_id);

-- Messages whose effect is in this database, with the answer that was given.
create table inbox (
    message_id   uuid primary key,
    topic        text not null,
    order_id     uuid not null,
    outcome      jsonb,
    processed_at timestamptz not null default now()
);

-- Objects of the data lake whose events are in this database, with the offsets that each covers.
create table taken_objects (
    name         text primary key,
    partition    int not null,
    first_offset bigint not null,
    next_offset  bigint not null,
    taken_at     timestamptz not null default now()
);

-- Events as the dashboards count them. `copy` is 0 where duplicates are recognised; a drill that switches that off must be
-- able to see them counted, so then every copy has a number of its own.
create table events (
    message_id     text not null,
    copy           bigint not null default 0,
    order_id       text not null,
    partition      int not null,
    record_offset  bigint not null,
    kind           text not null,
    at             timestamptz not null,
    window_start_s bigint not null,
    currency       text not null,
    amount_minor   bigint not null,
    primary key (message_id, copy)
);
create index events_by_window on events (window_start_s);
create sequence event_copies;

-- The dashboards: one row for each window of event time and currency. Seconds since 1970.
create table dashboard_rows (
    window_start_s bigint not null,
    window_s       bigint not null,
    currency       text not null,
    placed         bigint not null,
    paid           bigint not null,
    refunded       bigint not null,
    revenue_minor  bigint not null,
    primary key (window_start_s, currency)
);

-- What each build of the dashboards said about itself.
create table builds (
    build           bigserial primary key,
    built_at        timestamptz not null,
    newest_event_at timestamptz,
    complete        boolean not null,
    reason          text
);

-- The same for each partition of the topic: how much of it is counted, how far behind its end that is.
create table claims (
    build      bigint not null references builds on delete cascade,
    partition  int not null,
    complete   boolean not null,
    counted    bigint not null,
    behind     bigint not null,
    end_offset bigint not null,
    primary key (build, partition)
);

-- How often in a row the batch found nothing new: tells from outside whether it is at work.
create table batch_state (
    only_row  boolean primary key default true check (only_row),
    idle_runs int not null default 0
);
insert into batch_state default values;

-- What the customer wants to say about the order.
alter table orders add column note text;

-- A message that Kafka will never take is parked here, with the reason, so that those behind it go on.
alter table outbox add column parked_at timestamptz;
alter table outbox add column parked_reason text;

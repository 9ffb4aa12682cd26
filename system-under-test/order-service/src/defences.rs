//! What protects orders, by name. Each is asked for at one place.

service_kit::defences! {
    /// What protects orders.
    pub enum Defence of "order" {
        /// A request that does not fit exactly is refused; off, whatever can be read of it is taken.
        StrictParsing = "strict-parsing",
        /// A request with a known key gets the answer of the first; off, the key is ignored.
        IdempotencyKey = "idempotency-key",
        /// An order is only taken at the price that the customer was shown; off, the new price is taken silently.
        PriceCheck = "price-check",
        /// A state is only written over the version that was read, and only along legal transitions.
        VersionCheck = "version-check",
        /// Messages are stored with the order and published from there; off, they are sent after the commit and forgotten.
        Outbox = "outbox",
        /// A message counts as published when Kafka acknowledged it; off, when it was handed to the client.
        OutboxAck = "outbox-ack",
        /// Audit rows are written in the order's transaction; off, in one of their own afterwards.
        AuditInTransaction = "audit-in-transaction",
        /// Kafka stores a record once however often the client sends it.
        ProducerIdempotence = "producer-idempotence",
        /// A message that was processed is not processed again.
        InboxDedup = "inbox-dedup",
    }
}

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
        /// Who has seen a version of an order is never shown an older one; off, whatever this instance read last.
        ReadYourWrites = "read-your-writes",
        /// A transaction that was the victim of a deadlock is run again; off, it is given up.
        DeadlockRetry = "deadlock-retry",
        /// A transaction that could not be put in a row with another one is run again; off, it is given up.
        SerializationRetry = "serialization-retry",
        /// Who waits for a connection to the database is refused soon; off, he waits as long as his request lasts.
        PoolTimeout = "pool-timeout",
        /// The database ends a statement that takes too long; off, it goes on.
        StatementTimeout = "statement-timeout",
        /// A connection to the database that was lost is replaced; off, it stays lost.
        Reconnect = "reconnect",
        /// A database password that changes in its file is taken up while the service runs; off, the first one is kept.
        SecretReload = "secret-reload",
        /// A commit is acknowledged when it is safe; off, as soon as it is in the database's memory.
        SyncCommit = "sync-commit",
        /// While the tables are not those of this program, it is not ready and writes nothing; off, it tries.
        SchemaCheck = "schema-check",
        /// While too many messages wait to be published, orders are refused; off, they are taken.
        Backpressure = "backpressure",
        /// An order is refused when what is to be said about it is larger than Kafka takes; off, it is stored.
        MessageSizeCheck = "message-size-check",
        /// Few answers of payment and inventory are worked on at a time; off, as many as there are.
        ConcurrencyLimit = "concurrency-limit",
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
        /// At SIGTERM what is under way is finished or given back before the process ends.
        GracefulShutdown = "graceful-shutdown",
    }
}

//! What protects the stock, by name. Each is asked for at one place.

service_kit::defences! {
    /// What protects the stock.
    pub enum Defence of "inventory" {
        /// Stock is compared and lowered in one statement; off, it is read, and the computed rest is written.
        AtomicDecrement = "atomic-decrement",
        /// A message that was processed is answered again but not processed again.
        Dedup = "dedup",
        /// Products are locked in the order of their ids; off, in the order of the lines.
        LockOrder = "lock-order",
        /// A transaction that lost a deadlock is run again; off, its message is given up.
        DeadlockRetry = "deadlock-retry",
        /// The offset is committed after the work; off, before it.
        CommitAfterWork = "commit-after-work",
        /// At SIGTERM what is under way is finished or given back before the process ends.
        GracefulShutdown = "graceful-shutdown",
        /// A database password that changes in its file is taken up while the service runs; off, the first one is kept.
        SecretReload = "secret-reload",
        /// The stock that is shown is read anew when it is older than a bound; off, only when a change is heard of.
        CacheTtl = "cache-ttl",
        /// Whether there is enough is asked of the row itself; off, of the stock that is shown.
        CheckAtSource = "check-at-source",
    }
}

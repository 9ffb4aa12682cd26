//! What protects the data lake and the dashboards, by name. Each is asked for at one place.

service_kit::defences! {
    /// What protects the data lake and the dashboards.
    pub enum Defence of "analytics" {
        /// An event counts in the window of the time at which it happened; off, of the time at which the batch saw it.
        EventTime = "event-time",
        /// An event that arrives twice is counted once.
        Dedup = "dedup",
        /// Dashboards say how far behind the queue they are; off, they say that they are up to date.
        Freshness = "freshness",
        /// An event that lacks a field is parked; off, it is kept, and what it lacks counts as nothing.
        SchemaCheck = "schema-check",
        /// An event of an unknown major version is parked; off, it is read as if it were of the known one.
        VersionTolerance = "version-tolerance",
        /// An object is written by one put; off, in two pieces under its final name.
        AtomicPut = "atomic-put",
        /// A batch is one transaction; off, each of its steps is committed by itself.
        AtomicBatch = "atomic-batch",
        /// Dashboards that lack events say so; off, they always say that they are complete.
        Completeness = "completeness",
        /// The offset is committed after the work; off, before it.
        CommitAfterWork = "commit-after-work",
        /// A database password that changes in its file is taken up while the service runs; off, the first one is kept.
        SecretReload = "secret-reload",
    }
}

//! What protects customers from being told twice, too early, or nothing at all, by name. Each is asked for at one place.

service_kit::defences! {
    /// What protects the messages to customers.
    pub enum Defence of "notification" {
        /// What an order's customer was told is not sent again.
        Dedup = "dedup",
        /// A message that could not be delivered now is delivered later; off, it is tried once.
        Retry = "retry",
        /// Messages in a second are bounded, and the provider's Retry-After is kept by all of them.
        RateLimit = "rate-limit",
        /// Every attempt of a message carries the same key to the provider.
        MessageKey = "message-key",
        /// A message with an empty place in it is parked; off, it is sent as it is.
        TemplateCheck = "template-check",
        /// An order is confirmed when it is paid; off, as soon as it is placed.
        PaidOnly = "paid-only",
        /// The offset is committed after the messages are sent; off, before.
        CommitAfterSend = "commit-after-send",
        /// A database password that changes in its file is taken up while the service runs; off, the first one is kept.
        SecretReload = "secret-reload",
        /// An event that is not understood is parked with the reason; off, it is passed over.
        SchemaCheck = "schema-check",
        /// Fields that came later may be missing, fields that are unknown may be there; off, neither.
        VersionTolerance = "version-tolerance",
    }
}

//! The protections of this service, each used at one place.

service_kit::defences! {
    /// What protects payments; all are on unless `DEFENCES_OFF` names them.
    pub enum Protection of "payment" {
        /// A command that was answered before is answered again from the inbox, not processed again.
        InboxDedup = "inbox-dedup",
        /// Every attempt of a payment carries the same key to the provider.
        IdempotencyKey = "idempotency-key",
        /// A call to the provider is given up after a time.
        RequestTimeout = "request-timeout",
        /// A payment that was not made is attempted again.
        Retry = "retry",
        /// Attempts are spaced, ever wider.
        Backoff = "backoff",
        /// The spaces differ, so that payments that failed together do not return together.
        Jitter = "jitter",
        /// Repetitions are a bounded share of all attempts.
        RetryBudget = "retry-budget",
        /// A provider that keeps failing is left alone for a while.
        CircuitBreaker = "circuit-breaker",
        /// Calls in a second are bounded, and the provider's Retry-After is kept by all of them.
        RateLimit = "rate-limit",
        /// Calls under way at the same time are bounded.
        ConcurrencyLimit = "concurrency-limit",
        /// A provider that was left alone is tried with a few calls before all are let through again.
        HalfOpen = "half-open",
        /// After the start calls are let through ever faster, not all at once.
        SlowStart = "slow-start",
        /// What was queued while the service was down is let out evenly, however many instances there are.
        DrainControl = "drain-control",
        /// The provider is told which version of its API is meant, and an answer in another one is not believed.
        VersionCheck = "version-check",
        /// Nobody is asked whose certificate does not descend from one that is trusted.
        TlsVerify = "tls-verify",
        /// Trusted certificates that change on the disk are taken up while the service runs.
        CaReload = "ca-reload",
        /// A database password that changes in its file is taken up while the service runs; off, the first one is kept.
        SecretReload = "secret-reload",
        /// A command of an unknown major version is parked, not guessed.
        SchemaCheck = "schema-check",
        /// A command with fields that this build does not know is understood all the same.
        VersionTolerance = "version-tolerance",
        /// A refund that comes before its charge waits for it.
        SequenceCheck = "sequence-check",
        /// Only a message that is itself to blame is ever given up.
        RetryPolicy = "retry-policy",
        /// An unknown outcome is cleared up with the provider instead of being taken for a no.
        Reconcile = "reconcile",
        /// A message that can never be processed is parked instead of being tried for ever.
        DeadLetter = "dead-letter",
        /// A message's offset is committed after the work, not before.
        CommitAfterWork = "commit-after-work",
        /// The queue is polled while work is under way, so that long work does not cost the membership.
        PollWhileWorking = "poll-while-working",
        /// A success is believed only when its body says what was booked.
        BodyCheck = "body-check",
        /// At SIGTERM what is under way is finished or given back before the process ends.
        GracefulShutdown = "graceful-shutdown",
    }
}

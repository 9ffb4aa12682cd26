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
    }
}

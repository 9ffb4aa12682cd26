//! What protects a shopper, by name. The page reads them from its configuration and asks for each at one place.

service_kit::defences! {
    /// What protects a shopper.
    pub enum Defence of "frontend" {
        /// A payment that is tried again carries the key of the first try.
        RetrySameKey = "retry-same-key",
        /// A page that was told to come back later waits for so long.
        BackoffOn429 = "backoff-on-429",
        /// Prices and stock are read anew when they turn out to be old.
        RevalidateCache = "revalidate-cache",
        /// Customers send nothing to somebody who cannot prove to be the shop: browsers are told never to let them.
        TlsVerify = "tls-verify",
    }
}

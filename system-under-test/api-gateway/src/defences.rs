//! The protections of this service, each used at one place.

service_kit::defences! {
    /// What protects the edge; all are on unless `DEFENCES_OFF` names them.
    pub enum Protection of "gateway" {
        /// Only pages of the listed origins may call the API; off, every page may, with the browser's credentials.
        CorsAllowlist = "cors-allowlist",
        /// A renewed certificate is shown without a restart; off, the one of the start is shown for ever.
        CertificateReload = "certificate-reload",
        /// An answer of DNS is kept no longer than it is good for; off, the first one is kept for ever.
        DnsTtl = "dns-ttl",
        /// A route that leads to where nobody knows it keeps the gateway from becoming ready; off, customers find out.
        RouteCheck = "route-check",
        /// What looks like an attack is refused with a reference id, and reaches no service.
        Waf = "waf",
        /// Only requests with a good token are let in; off, nobody is asked who they are.
        JwtVerification = "jwt-verification",
        /// Keys are fetched again when a token names an unknown one, and from time to time; off, the first set is the last.
        JwksRefresh = "jwks-refresh",
        /// A client that asks too often is told to wait, the others are served.
        PerClientLimit = "per-client-limit",
        /// A body that is too large is refused instead of being held in memory.
        BodyLimit = "body-limit",
        /// The services learn how much time is left.
        DeadlinePropagation = "deadline-propagation",
        /// An instance that keeps failing gets no requests for a while.
        OutlierEjection = "outlier-ejection",
        /// An instance that says that it is not ready gets no requests; off, nobody is asked.
        ReadinessRouting = "readiness-routing",
        /// A request is sent a second time only when that cannot have a second effect.
        RetryOnlySafe = "retry-only-safe",
        /// Nobody waits for a service longer than the deadline.
        UpstreamTimeout = "upstream-timeout",
        /// At SIGTERM what is under way is finished or given back before the process ends.
        GracefulShutdown = "graceful-shutdown",
    }
}

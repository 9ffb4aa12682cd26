use std::net::SocketAddr;

/// Where a provider is served.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// The control API, health and metrics.
    pub http: SocketAddr,
    /// The public API.
    pub public: SocketAddr,
}

//! The pipeline's edge: TLS, a rate limit for each client, a body limit, deadlines, and the balancing of the order
//! service's instances.
//!
//! * [`config`]: the settings
//! * [`defences`]: the protections that can be switched off by name
//! * [`limit`]: the rate limit of each client
//! * [`upstream`]: which order instance gets a request, and whether it is sent again
//! * [`http`]: what customers may reach

use std::net::SocketAddr;
use std::sync::Arc;

use service_kit::service::Service;

pub mod config;
pub mod defences;
pub mod http;
pub mod limit;
pub mod upstream;

/// Starts the gateway: probes, health, public API.
///
/// # Errors
/// A file cannot be read, or an address cannot be bound.
pub async fn start(config: config::Config, service: Service) -> anyhow::Result<()> {
    serve(config, &service).await.map(drop)
}

/// Starts the gateway and says where its public API is served.
///
/// # Errors
/// A file cannot be read, or an address cannot be bound.
pub async fn serve(config: config::Config, service: &Service) -> anyhow::Result<SocketAddr> {
    let off = config.defences.names_off();
    if !off.is_empty() {
        tracing::warn!(?off, "defences are off");
    }
    let upstreams = Arc::new(upstream::Upstreams::new(
        config.order_services,
        config.upstream,
        &config.defences,
        &service.metrics,
    )?);
    let probing = upstreams.clone().probe(service.shutdown.token());
    service.spawn("probes", async move {
        probing.await;
        Ok::<_, std::convert::Infallible>(())
    });
    let edge = Arc::new(http::Edge::new(upstreams, config.edge, &config.defences));
    service.serve_http(axum::Router::new())?;
    Ok(service
        .serve_tls(&config.public, http::router(edge))
        .await?)
}

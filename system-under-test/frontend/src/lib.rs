//! The frontend: serves the shop page over HTTPS, and tells it where to order and how patient to be. It has no database and
//! calls nobody: the page in the customer's browser does.
//!
//! * [`config`]: its settings.
//! * [`defences`]: the page's protections, by name.
//! * [`page`]: the files of the page, in this program.
//! * [`http`]: files, configuration, and what a browser is told to refuse.

use std::net::SocketAddr;

use service_kit::service::Service;

pub mod config;
pub mod defences;
pub mod http;
pub mod page;

/// Name of the program.
pub const NAME: &str = "frontend";

/// Starts the frontend.
///
/// # Errors
/// A file cannot be read, or an address cannot be bound.
pub async fn start(config: config::Config, service: Service) -> anyhow::Result<()> {
    serve(config, &service).await.map(drop)
}

/// Starts the frontend and says where the page is served.
///
/// # Errors
/// A file cannot be read, or an address cannot be bound.
pub async fn serve(config: config::Config, service: &Service) -> anyhow::Result<SocketAddr> {
    tracing::info!(off = ?config.defences.names_off(), "defences");
    service.serve_http(axum::Router::new())?;
    let routes = http::routes(&config)?;
    Ok(service.serve_tls(&config.public, routes).await?)
}

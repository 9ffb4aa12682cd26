//! The stand-alone command: proxies under an HTTP API that Toxiproxy's clients understand.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Parser;
use faultproxy::registry::Wanted;
use faultproxy::{Limits, Registry, api};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;
use tracing_subscriber::EnvFilter;

/// A TCP fault proxy that speaks Toxiproxy's HTTP API and understands Kafka frames.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where the HTTP API listens.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The port of the HTTP API; 0 for a free one, which the log tells.
    #[arg(long, default_value_t = 8474)]
    port: u16,
    /// Proxies to start with: a JSON file with what POST /populate takes.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The seed of everything that toxics and rules draw.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Connections that each proxy has open at most.
    #[arg(long, default_value_t = Limits::default().max_connections)]
    max_connections: usize,
    /// What is logged to standard error.
    #[arg(long, env = "LOG", default_value = "info")]
    log: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_new(&arguments.log).context("--log is no filter")?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();

    let limits = Limits {
        max_connections: arguments.max_connections,
        ..Limits::default()
    };
    let registry = Arc::new(Registry::new(arguments.seed, limits));
    let address = (arguments.host.as_str(), arguments.port);
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address:?}"))?;
    if let Some(file) = &arguments.config {
        populate(&registry, file).await?;
    }
    info!(address = %listener.local_addr()?, "the HTTP API listens");

    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    tokio::select! {
        served = axum::serve(listener, api::router(Arc::clone(&registry))) => served?,
        _ = interrupt.recv() => info!("interrupted"),
        _ = terminate.recv() => info!("told to end"),
    }
    registry.shutdown().await;
    Ok(())
}

async fn populate(registry: &Registry, file: &Path) -> Result<()> {
    let context = || format!("cannot start the proxies of {}", file.display());
    let json = std::fs::read(file).with_context(context)?;
    let wanted: Vec<Wanted> = serde_json::from_slice(&json).with_context(context)?;
    for proxy in registry.populate(wanted).await.with_context(context)? {
        info!(proxy = proxy.name(), listen = %proxy.address(), upstream = proxy.upstream(), "proxy started");
    }
    Ok(())
}
